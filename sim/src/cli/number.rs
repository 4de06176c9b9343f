//! Whole numbers on the command line.

use std::ops::RangeInclusive;

/// Reads one within limits that its type has room for.
pub(super) fn whole<T: TryFrom<u64>>(
    limits: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| limits.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| {
            let (least, most) = (limits.start(), limits.end());
            format!("'{text}' is not a whole number in {least}..={most}")
        })
    }
}
