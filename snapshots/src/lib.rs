//! Saga traces under review: see `tests/`.
