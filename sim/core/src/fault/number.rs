//! Numbers of faults, for those who change them.

/// A number of a fault that can be made smaller.
#[derive(Debug)]
pub enum Number<'a> {
    /// Milliseconds, or the amount of a custom fault.
    Amount(&'a mut u64),
    /// Bytes a second, of which fewer are stronger.
    Rate(&'a mut u64),
    /// How often.
    Times(&'a mut u32),
    /// Hundredths.
    Percent(&'a mut u8),
    /// Milliseconds or parts in a million, either way.
    Signed(&'a mut i64),
}

impl Number<'_> {
    /// Its size, without a sign.
    pub fn get(&self) -> u64 {
        match self {
            Number::Amount(n) | Number::Rate(n) => **n,
            Number::Times(n) => u64::from(**n),
            Number::Percent(n) => u64::from(**n),
            Number::Signed(n) => n.unsigned_abs(),
        }
    }

    /// Sets its size to one that is smaller than it was; its sign stays.
    pub fn set(&mut self, value: u64) {
        match self {
            Number::Amount(n) | Number::Rate(n) => **n = value,
            Number::Times(n) => **n = value as u32,
            Number::Percent(n) => **n = value as u8,
            Number::Signed(n) => **n = value as i64 * n.signum(),
        }
    }
}
