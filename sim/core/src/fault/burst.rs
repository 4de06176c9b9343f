//! What can befall a burst.

use std::time::Duration;

/// What to do with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BurstFault {
    /// The burst never arrives: the connection is silently cut at this burst, both ways.
    Lose,
    /// The connection is reset at this burst: both ends see `ECONNRESET`, the burst is gone.
    Reset,
    /// The burst arrives this much later.
    Delay(Duration),
    /// The same bytes arrive once more on a second connection, this much later. Its answer is thrown away.
    Duplicate(Duration),
}
