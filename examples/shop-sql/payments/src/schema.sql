CREATE TABLE accounts (
    customer text PRIMARY KEY,
    credit bigint NOT NULL -- what all charges together must not exceed
);

CREATE TABLE charges (
    order_id uuid PRIMARY KEY,
    customer text NOT NULL,
    amount bigint NOT NULL,
    state text NOT NULL -- charged, declined, refunded: also if it was refunded before it was made
);
CREATE INDEX charges_by_customer ON charges (customer);

-- What customers are told, in the order in which it is sent.
CREATE TABLE mails (
    event uuid PRIMARY KEY,
    id bigint GENERATED ALWAYS AS IDENTITY,
    order_id uuid NOT NULL,
    customer text NOT NULL,
    kind text NOT NULL -- placed, confirmed, cancelled
);
