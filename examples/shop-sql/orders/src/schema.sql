CREATE TABLE orders (
    id uuid PRIMARY KEY,
    customer text NOT NULL,
    lines jsonb NOT NULL,
    state text NOT NULL, -- reserving, charging, confirmed, cancelled
    total bigint,
    reason text,
    fence bigint NOT NULL DEFAULT 0 -- who took it last may write it, and nobody else
);
CREATE INDEX orders_under_way ON orders (id) WHERE state IN ('reserving', 'charging');
