//! Log events of a request, for observers of the service.

/// What was done, to be told once it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Reserved {
        sku: String,
        quantity: u64,
    },
    Refused {
        sku: String,
        quantity: u64,
        left: u64,
    },
    LateReserveRefused {
        sku: String,
    },
    Confirmed {
        sku: String,
        quantity: u64,
    },
    Released {
        sku: String,
        quantity: u64,
    },
    TombstoneLeft,
    LockSwept {
        sku: String,
        owner: String,
    },
}

impl Note {
    /// Logs it.
    pub(super) fn tell(&self) {
        match self {
            Note::Reserved { sku, quantity } => tracing::info!(sku, quantity, "stock reserved"),
            Note::Refused {
                sku,
                quantity,
                left,
            } => {
                tracing::info!(sku, quantity, left, "stock refused");
            }
            Note::LateReserveRefused { sku } => tracing::info!(sku, "late reserve refused"),
            Note::Confirmed { sku, quantity } => tracing::info!(sku, quantity, "stock confirmed"),
            Note::Released { sku, quantity } => tracing::info!(sku, quantity, "stock released"),
            Note::TombstoneLeft => tracing::info!("tombstone left"),
            Note::LockSwept { sku, owner } => tracing::info!(sku, owner, "lock swept"),
        }
    }
}
