//! Idempotency keys: one effect per key, one terminal answer, refusals in between.
