//! What clients can leave undone.

use serde::{Deserialize, Serialize};

/// Something that a client can leave undone. See [`Client::does`](crate::Client::does).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub client: String,
}
