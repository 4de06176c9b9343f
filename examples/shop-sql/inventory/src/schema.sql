CREATE TABLE items (
    sku text PRIMARY KEY,
    stocked bigint NOT NULL, -- how many there were at first
    free bigint NOT NULL,    -- of these, how many nobody has reserved
    price bigint NOT NULL
);

CREATE TABLE reservations (
    order_id uuid PRIMARY KEY,
    state text NOT NULL, -- held, sold, released: also if it was released before it was made
    total bigint NOT NULL DEFAULT 0
);

CREATE TABLE reservation_lines (
    order_id uuid NOT NULL REFERENCES reservations,
    sku text NOT NULL REFERENCES items,
    qty bigint NOT NULL,
    PRIMARY KEY (order_id, sku)
);
