//! What a power loss, or a sync that failed, leaves of unsynced data. Every choice is keyed, none is drawn in order.

use squall_core::seed::Seed;

use super::image::SECTOR;

/// The kinds of event, which keep their choices apart.
pub const POWER: u64 = 0x0070_6f77_6572;
/// See [`POWER`].
pub const FAILED_SYNC: u64 = 0x7379_6e63;

/// How coarsely unsynced data is lost. Uniform choices per sector would hardly ever keep or lose a whole commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grain {
    /// Nothing reached the platter.
    Nothing,
    /// Everything did.
    Everything,
    /// Whole pages did or did not.
    Pages,
    /// Whole sectors did or did not.
    Sectors,
    /// Sectors did, did not, or in part.
    Bytes,
}

/// A sector's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sector {
    Written,
    Lost,
    /// Only this many first bytes were written.
    Head(usize),
    /// Only this many last bytes were written.
    Tail(usize),
}

/// The choices of one event for one file, and what came of them.
#[derive(Debug)]
pub struct Loss {
    seed: Seed,
    key: [u64; 4],
    grain: Grain,
    /// Sectors whose new content is gone.
    pub lost: u64,
    /// Sectors that hold a mixture.
    pub torn: u64,
}

impl Loss {
    /// `kind` and `ordinal` name the event on this node's disk.
    pub fn new(seed: Seed, node: u64, kind: u64, ordinal: u64, inode: u64) -> Self {
        let grain = match seed.keyed(&[node, kind, ordinal]) % 8 {
            0 => Grain::Nothing,
            1 => Grain::Everything,
            2 | 3 => Grain::Pages,
            4 | 5 => Grain::Sectors,
            _ => Grain::Bytes,
        };
        Loss {
            seed,
            key: [node, kind, ordinal, inode],
            grain,
            lost: 0,
            torn: 0,
        }
    }

    fn choice(&self, page: u64, sector: u64) -> u64 {
        let [node, kind, ordinal, inode] = self.key;
        self.seed.keyed(&[node, kind, ordinal, inode, page, sector])
    }

    /// Whether the file's new length was written.
    pub fn len_written(&self) -> bool {
        match self.grain {
            Grain::Nothing => false,
            Grain::Everything => true,
            _ => self.choice(u64::MAX, 0).is_multiple_of(2),
        }
    }

    /// Whether a whole page was written.
    pub fn page_written(&self, page: usize) -> bool {
        match self.grain {
            Grain::Nothing => false,
            Grain::Everything => true,
            _ => self.choice(page as u64, u64::MAX).is_multiple_of(2),
        }
    }

    /// The fate of a sector of a page.
    pub fn sector(&self, page: usize, sector: usize) -> Sector {
        let whole = |written| {
            if written {
                Sector::Written
            } else {
                Sector::Lost
            }
        };
        let choice = self.choice(page as u64, sector as u64);
        match self.grain {
            Grain::Nothing | Grain::Everything | Grain::Pages => whole(self.page_written(page)),
            Grain::Sectors => whole(choice.is_multiple_of(2)),
            Grain::Bytes => {
                let n = 1 + (choice >> 8) as usize % (SECTOR - 1);
                match choice % 4 {
                    0 => Sector::Written,
                    1 => Sector::Lost,
                    2 => Sector::Head(n),
                    _ => Sector::Tail(n),
                }
            }
        }
    }
}
