//! What must hold in the tables of the shop, as queries for what offends against it.

use sqlx::{AssertSqlSafe, PgConnection};

/// A rule, and a query for the rows that offend against it.
pub type Rule = (&'static str, &'static str);

/// What holds after each commit.
pub const ALWAYS: &[Rule] = &[
    (
        "there is no negative stock",
        "SELECT sku, free FROM inventory.items WHERE free < 0",
    ),
    (
        "what is free and what is reserved is what there was",
        "SELECT sku, stocked, free, coalesce(sum(qty) FILTER (WHERE state <> 'released'), 0) AS reserved
         FROM inventory.items LEFT JOIN inventory.reservation_lines USING (sku)
         LEFT JOIN inventory.reservations USING (order_id) GROUP BY sku
         HAVING stocked <> free + coalesce(sum(qty) FILTER (WHERE state <> 'released'), 0)",
    ),
    (
        "a reservation costs what its lines cost",
        "SELECT order_id, total, coalesce(sum(qty * price), 0) AS lines FROM inventory.reservations
         LEFT JOIN inventory.reservation_lines USING (order_id) LEFT JOIN inventory.items USING (sku)
         WHERE state <> 'released' GROUP BY order_id, total HAVING total <> coalesce(sum(qty * price), 0)",
    ),
    (
        "charges stay within the credit",
        "SELECT customer, credit, sum(amount) AS charged FROM payments.charges JOIN payments.accounts USING (customer)
         WHERE state = 'charged' GROUP BY customer, credit HAVING sum(amount) > credit",
    ),
    (
        "a confirmed order is charged for",
        "SELECT orders.id, total, charges.state, amount FROM orders.orders
         LEFT JOIN payments.charges ON order_id = orders.id WHERE orders.state = 'confirmed'
         AND (charges.state = 'charged' AND amount = total) IS NOT TRUE",
    ),
    (
        "a key has one order",
        "SELECT id FROM orders.orders WHERE NOT EXISTS
         (SELECT FROM orders.idempotency_keys WHERE subject = id)",
    ),
];

/// What holds when the shop has come to rest.
pub const AT_REST: &[Rule] = &[
    (
        "every order is decided",
        "SELECT id, state FROM orders.orders WHERE state NOT IN ('confirmed', 'cancelled')",
    ),
    (
        "every event is sent",
        "SELECT id, subject, kind FROM orders.outbox",
    ),
    (
        "only confirmed orders are charged for",
        "SELECT order_id, amount, orders.state FROM payments.charges LEFT JOIN orders.orders ON id = order_id
         WHERE charges.state = 'charged' AND (orders.state = 'confirmed') IS NOT TRUE",
    ),
    (
        "what is confirmed is sold, and nothing else is reserved",
        "SELECT id, orders.state, reservations.state AS reservation FROM orders.orders
         FULL JOIN inventory.reservations ON order_id = id
         WHERE (orders.state = 'confirmed') IS DISTINCT FROM (reservations.state = 'sold')
         AND (orders.state, coalesce(reservations.state, 'released')) IS DISTINCT FROM ('cancelled', 'released')",
    ),
    (
        "what is sold is what was ordered",
        "SELECT id, lines, sold FROM orders.orders, LATERAL (
             SELECT jsonb_agg(jsonb_build_object('sku', sku, 'qty', qty) ORDER BY sku) AS sold
             FROM inventory.reservation_lines WHERE order_id = id
         ) AS reserved, LATERAL (
             SELECT jsonb_agg(line ORDER BY line ->> 'sku') AS ordered FROM jsonb_array_elements(lines) AS line
         ) AS asked WHERE state = 'confirmed' AND sold IS DISTINCT FROM ordered",
    ),
    (
        "customers hear of each order, in order, and once",
        "SELECT orders.id, state, array_agg(kind ORDER BY mails.id) AS mails FROM orders.orders
         LEFT JOIN payments.mails ON order_id = orders.id GROUP BY orders.id, state
         HAVING array_agg(kind ORDER BY mails.id) IS DISTINCT FROM ARRAY['placed', state]",
    ),
    (
        "no idle session holds a lock",
        "SELECT application_name, mode, objid FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND state = 'idle'",
    ),
];

/// What offends against the rules.
///
/// # Errors
///
/// The database has failed.
pub async fn offences(connection: &mut PgConnection, rules: &[Rule]) -> sqlx::Result<Vec<String>> {
    let mut offences = Vec::new();
    for (rule, query) in rules {
        let query = format!("SELECT row_to_json(found)::text FROM ({query}) AS found");
        let found: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(query))
            .fetch_all(&mut *connection)
            .await?;
        offences.extend(found.iter().map(|(row,)| format!("{rule}: {row}")));
    }
    Ok(offences)
}
