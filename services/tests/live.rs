//! The live program itself, on real sockets and files: a walk through the shop, a kill in mid-order, bad input.
//!
//! Built without the simulation only: `cargo test --config .cargo/live.toml --package squall-services --test live`.
#![cfg(not(madsim))]
#![allow(clippy::disallowed_macros)]

mod servers;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// The program as cargo has just built it for this very test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_squall-live");

/// A running shop; killed when dropped.
struct Shop {
    program: Child,
    port: u16,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// What the shop answered.
struct Answer {
    status: u16,
    body: Value,
}

impl Shop {
    /// Starts the program over `data` and waits until its gateway and order service answer.
    fn open(data: &Path, port_base: u16) -> Shop {
        Shop::open_with(data, port_base, &[])
    }

    /// The same, with more arguments.
    fn open_with(data: &Path, port_base: u16, more: &[&str]) -> Shop {
        let program = Command::new(PROGRAM)
            .args(["--data", &data.display().to_string()])
            .args(["--port-base", &port_base.to_string(), "--seed-demo"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut shop = Shop {
            program,
            port: port_base,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !shop.is_open() {
            let ended = shop.program.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "the program ended: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "the shop did not open within 30 s"
            );
            std::thread::yield_now();
        }
        shop
    }

    /// Whether the gateway routes, the order service answers, and the shelves are filled.
    fn is_open(&self) -> bool {
        let ok = |path: &str| self.get(path).filter(|answer| answer.status == 200);
        let Some(products) = ok("/products") else {
            return false;
        };
        let sku = products.body[0]["sku"].as_str();
        sku.is_some_and(|sku| ok(&format!("/inventory/{sku}")).is_some())
            && ok("/orders?user=nobody").is_some()
    }

    fn get(&self, path: &str) -> Option<Answer> {
        self.send("GET", path, None, "", "")
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            Some(key),
            "application/json",
            &body.to_string(),
        )
        .expect("the shop answers")
    }

    /// One request on a connection of its own; `None` if there is no answer.
    fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        kind: &str,
        body: &str,
    ) -> Option<Answer> {
        send(self.port, method, path, key, kind, body)
    }

    fn units(&self, sku: &str) -> (u64, u64, u64) {
        let body = self
            .get(&format!("/inventory/{sku}"))
            .expect("the shop answers")
            .body;
        let count = |name: &str| {
            body[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {body}"))
        };
        (count("on_hand"), count("reserved"), count("sold"))
    }
}

/// One request to one port, on a connection of its own; `None` if there is no answer.
fn send(
    port: u16,
    method: &str,
    path: &str,
    key: Option<&str>,
    kind: &str,
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let key = key
        .map(|key| format!("idempotency-key: {key}\r\n"))
        .unwrap_or_default();
    let kind = if kind.is_empty() {
        String::new()
    } else {
        format!("content-type: {kind}\r\n")
    };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{key}{kind}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status,
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    })
}

/// A folder of the test's own, and a run of free ports, one for the gateway and each service. Tests have different
/// `slot`s, so that those that run side by side never look at the same ports.
fn place(slot: u16) -> (PathBuf, u16) {
    const SLOTS: u16 = 6;
    let pid = std::process::id();
    let data = std::env::temp_dir().join(format!("squall-live-{pid}-{slot}"));
    let _ = std::fs::remove_dir_all(&data);
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Below 32,768, where the kernel takes the ports of outgoing connections from.
    let first = (pid % 200) as u16;
    let base = (0..200)
        .map(|n| 20_000 + ((first + n) % 200 * SLOTS + slot) * 10)
        .find(|base| (0..10).all(|n| free(base + n)))
        .expect("some ports are free");
    (data, base)
}

fn first_sku(shop: &Shop) -> String {
    let products = shop.get("/products").expect("the shop answers").body;
    products[0]["sku"]
        .as_str()
        .expect("the demo has products")
        .to_owned()
}

#[test]
fn an_order_is_placed_paid_repeated_and_cannot_be_cancelled_any_more() {
    let (data, port) = place(0);
    let shop = Shop::open(&data, port);
    let sku = first_sku(&shop);
    let before = shop.units(&sku);
    let order = json!({ "user": "ann", "sku": sku, "quantity": 1, "card": "visa" });
    let placed = shop.post("/orders", "checkout-1", &order);
    assert_eq!(
        (placed.status, &placed.body["status"]),
        (201, &json!("COMPLETED")),
        "{}",
        placed.body
    );
    assert_eq!(shop.units(&sku), (before.0 - 1, 0, before.2 + 1));

    let again = shop.post("/orders", "checkout-1", &order);
    assert_eq!((again.status, &again.body["id"]), (201, &placed.body["id"]));
    let other = shop.post(
        "/orders",
        "checkout-1",
        &json!({ "user": "ann", "sku": sku, "quantity": 2, "card": "visa" }),
    );
    assert_eq!(
        (other.status, &other.body["code"]),
        (422, &json!("IDEMPOTENCY_MISMATCH"))
    );

    let id = placed.body["id"].as_str().expect("an id");
    let cancel = shop.send(
        "PATCH",
        &format!("/orders/{id}/status"),
        None,
        "application/json",
        r#"{"status":"CANCELLED"}"#,
    );
    assert_eq!(cancel.expect("the shop answers").status, 409);
    let declined = json!({ "user": "ann", "sku": sku, "quantity": 1, "card": "declined-1" });
    let declined = shop.post("/orders", "checkout-2", &declined);
    assert_eq!(
        (declined.status, &declined.body["code"]),
        (409, &json!("PAYMENT_DECLINED"))
    );
    assert_eq!(shop.units(&sku), (before.0 - 1, 0, before.2 + 1));
}

#[test]
fn a_shop_that_is_killed_in_mid_order_ends_the_saga_after_its_restart() {
    let (data, port) = place(1);
    let shop = Shop::open(&data, port);
    let sku = first_sku(&shop);
    let before = shop.units(&sku);
    let order = json!({ "user": "ben", "sku": sku, "quantity": 1, "card": "visa" }).to_string();
    // Sent, and not waited for: the kill comes while the saga runs, or right after.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: shop\r\nidempotency-key: checkout-9\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{order}",
        order.len()
    );
    stream
        .write_all(head.as_bytes())
        .expect("the request is sent");
    let deadline = Instant::now() + Duration::from_secs(20);
    let begun = || {
        let orders = shop.get("/orders?user=ben");
        orders.is_some_and(|orders| orders.body[0].is_object())
    };
    while !begun() {
        assert!(Instant::now() < deadline, "the order was never begun");
    }
    drop(shop);

    let shop = Shop::open(&data, port);
    let deadline = Instant::now() + Duration::from_secs(90);
    let status = loop {
        let orders = shop.get("/orders?user=ben").expect("the shop answers").body;
        assert_eq!(orders.as_array().map(Vec::len), Some(1));
        let status = orders[0]["status"].as_str().unwrap_or_default().to_owned();
        if status == "COMPLETED" || status == "CANCELLED" {
            break status;
        }
        assert!(Instant::now() < deadline, "the saga did not end: {orders}");
    };
    let sold = u64::from(status == "COMPLETED");
    assert_eq!(shop.units(&sku), (before.0 - sold, 0, before.2 + sold));
}

/// Method, path, idempotency key, content type, body, and the status that is due.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, &'a str, u16);

#[test]
fn bad_input_is_refused_with_an_explanation_and_never_a_500() {
    let (data, port) = place(2);
    let shop = Shop::open(&data, port);
    let good = r#"{"user":"ann","sku":"lamp","quantity":1,"card":"visa"}"#;
    let huge = format!(r#"{{"user":"{}"}}"#, "x".repeat(200_000));
    let cases: [Case; 9] = [
        (
            "POST",
            "/orders",
            Some("k1"),
            "application/json",
            "{not json",
            400,
        ),
        (
            "POST",
            "/orders",
            Some("k2"),
            "application/json",
            r#"{"user":"ann"}"#,
            400,
        ),
        (
            "POST",
            "/orders",
            Some("k3"),
            "application/json",
            r#"{"user":"ann","sku":"lamp","quantity":-1,"card":"visa"}"#,
            400,
        ),
        ("POST", "/orders", None, "application/json", good, 400),
        ("POST", "/orders", Some("k4"), "text/plain", good, 415),
        (
            "POST",
            "/orders",
            Some("k5"),
            "application/json",
            &huge,
            413,
        ),
        (
            "POST",
            "/orders",
            Some("k6"),
            "application/json",
            r#"{"user":"ann","sku":"no-such-thing","quantity":1,"card":"visa"}"#,
            404,
        ),
        ("GET", "/orders/ORD-NOSUCH", None, "", "", 404),
        ("GET", "/no/such/path", None, "", "", 404),
    ];
    for (method, path, key, kind, body, status) in cases {
        let answer = shop
            .send(method, path, key, kind, body)
            .expect("an answer, not a lost connection");
        let shown = body.chars().take(60).collect::<String>();
        assert_eq!(
            answer.status, status,
            "{method} {path} {shown}: {}",
            answer.body
        );
        assert!(
            answer.body["detail"]
                .as_str()
                .is_some_and(|d| !d.is_empty()),
            "{method} {path} {shown}: {}",
            answer.body
        );
    }
}

#[test]
fn replicas_share_their_orders_and_each_answers_for_all() {
    let (data, port) = place(3);
    let shop = Shop::open_with(&data, port, &["--replicas", "2"]);
    let sku = first_sku(&shop);
    let before = shop.units(&sku);
    let order = json!({ "user": "cho", "sku": sku, "quantity": 1, "card": "visa" });
    let placed: Vec<Answer> = (0..6)
        .map(|n| shop.post("/orders", &format!("checkout-{n}"), &order))
        .collect();
    for (n, placed) in placed.iter().enumerate() {
        assert_eq!(placed.status, 201, "{}", placed.body);
        let again = shop.post("/orders", &format!("checkout-{n}"), &order);
        assert_eq!((again.status, &again.body["id"]), (201, &placed.body["id"]));
    }
    assert_eq!(shop.units(&sku), (before.0 - 6, 0, before.2 + 6));

    // The gateway has the first port, then come order-1 and order-2.
    for replica in [port + 1, port + 2] {
        let orders =
            send(replica, "GET", "/orders?user=cho", None, "", "").expect("each replica listens");
        assert_eq!(orders.body.as_array().map(Vec::len), Some(6));
    }
}

/// The processes of a system that run the service of this name, or all of them.
fn processes(port_base: u16, name: &str) -> Vec<u32> {
    let runs = |pid: &u32| {
        let told = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments: Vec<&str> = told.split('\0').collect();
        let service = arguments
            .iter()
            .find_map(|told| told.strip_prefix("--service="));
        arguments.contains(&format!("--port-base={port_base}").as_str())
            && service.is_some_and(|service| name.is_empty() || service == name)
    };
    let all = std::fs::read_dir("/proc").expect("processes are listed");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(runs).collect()
}

/// A shop as processes over PostgreSQL is killed in mid-order, and then as a whole.
fn survives_a_kill_in_mid_order(slot: u16, replicas: &str, order: &str, pg_port: u16) {
    let Some(server) = servers::PostgreSql::start() else {
        return;
    };
    let (data, port) = place(slot);
    let url = server.url();
    let arguments = ["--processes", "--replicas", replicas, "--store", &url];
    let shop = Shop::open_with(&data, port, &arguments);
    let sku = first_sku(&shop);
    let before = shop.units(&sku);
    let slow = r#"[{"fault":"slow","delay_ms":1500,"operation":"authorize","times":1}]"#;
    let told = send(
        port + pg_port,
        "PUT",
        "/behaviour",
        None,
        "application/json",
        slow,
    );
    assert_eq!(told.map(|answer| answer.status), Some(200));

    let asked = json!({ "user": "ben", "sku": sku, "quantity": 1, "card": "visa" });
    let place = |key: &str| {
        let body = asked.to_string();
        shop.send("POST", "/orders", Some(key), "application/json", &body)
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| place("checkout-1"));
        let deadline = Instant::now() + Duration::from_secs(10);
        let begun = || {
            let orders = shop.get("/orders?user=ben");
            orders.is_some_and(|orders| orders.body[0].is_object())
        };
        while !begun() {
            assert!(Instant::now() < deadline, "the order was never begun");
        }
        let [pid] = processes(port, order)[..] else {
            panic!("{order} is one process");
        };
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.is_ok_and(|killed| killed.success()));
        let _ = first.join();
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let again = place("checkout-1");
        if let Some(Answer { status: 201, body }) = &again {
            assert_eq!(body["status"], json!("COMPLETED"), "{body}");
            break;
        }
        let told = again.map(|again| (again.status, again.body));
        assert!(Instant::now() < deadline, "the saga did not end: {told:?}");
        std::thread::yield_now();
    }
    let orders = shop.get("/orders?user=ben").expect("the shop answers").body;
    assert_eq!(orders.as_array().map(Vec::len), Some(1), "{orders}");
    assert_eq!(shop.units(&sku), (before.0 - 1, 0, before.2 + 1));

    assert!(!processes(port, "").is_empty());
    drop(shop);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !processes(port, "").is_empty() {
        assert!(
            Instant::now() < deadline,
            "processes outlive their supervisor"
        );
    }
}

#[test]
fn a_service_that_is_killed_in_mid_order_is_started_again_and_ends_the_saga() {
    survives_a_kill_in_mid_order(4, "1", "order", 6);
}

#[test]
fn a_replica_that_is_killed_in_mid_order_leaves_the_saga_to_others() {
    survives_a_kill_in_mid_order(5, "2", "order-1", 8);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    for (arguments, reason) in [
        (&["--replicas", "0"][..], "0 is not in 1..=9"),
        (&["--replicas", "10"], "10 is not in 1..=9"),
        (&["--replicas", "two"], "invalid digit"),
        (
            &["--replicas", "2", "--system", "purchases"],
            "no service of the system purchases can run as replicas",
        ),
        (
            &["--replicas", "2", "--port", "order=9001"],
            "it has gateway, order-1, order-2,",
        ),
        (
            &["--service", "shelf"],
            "has no service shelf; it has gateway, order,",
        ),
        (
            &["--service", "order", "--peer", "shelf=127.0.0.1:1"],
            "has no service shelf",
        ),
        (&["--peer", "order=127.0.0.1:1"], "--service <NAME>"),
        (
            &["--processes", "--tell-commits", "told"],
            "cannot be used with",
        ),
        (&["--peer", "order=nowhere"], "say who is where"),
        (
            &["--store", "mysql://localhost"],
            "postgres://USER@HOST/DATABASE",
        ),
        (
            &["--processes", "--replicas", "2"],
            "files cannot be shared by processes; choose a --store",
        ),
        (
            &[
                "--store",
                "postgres://squall@127.0.0.1:1/shop",
                "--port-base",
                "19990",
            ],
            "start the server at 127.0.0.1:1",
        ),
    ] {
        let ended = Command::new(PROGRAM).args(arguments).output();
        let ended = ended.expect("the program starts");
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(reason), "{arguments:?}: {told}");
    }
}
