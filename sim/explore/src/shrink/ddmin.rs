//! Delta debugging: a subset of which no single item can be spared.

/// Reduces `items`. `first` is shown candidates, smaller sets of items, and says which of them is the first that will
/// do.
pub(super) fn ddmin<T: Clone>(
    mut items: Vec<T>,
    mut first: impl FnMut(&[Vec<T>]) -> Option<usize>,
) -> Vec<T> {
    if items.is_empty() || first(&[Vec::new()]).is_some() {
        return Vec::new();
    }
    let mut parts = 2;
    while items.len() >= 2 {
        let chunks = chunks(&items, parts);
        let mut candidates = chunks.clone();
        // Of two parts each is the other's complement.
        if parts > 2 {
            candidates.extend((0..parts).map(|left_out| {
                let kept = (0..parts).filter(|part| *part != left_out);
                kept.flat_map(|part| chunks[part].clone()).collect()
            }));
        }
        match first(&candidates) {
            Some(found) => {
                items = candidates.swap_remove(found);
                parts = if found < parts { 2 } else { parts - 1 };
            }
            None if parts < items.len() => parts = (parts * 2).min(items.len()),
            None => break,
        }
    }
    items
}

/// `parts` runs of items, as even as can be.
fn chunks<T: Clone>(items: &[T], parts: usize) -> Vec<Vec<T>> {
    let bound = |part: usize| part * items.len() / parts;
    (0..parts)
        .map(|part| items[bound(part)..bound(part + 1)].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_but_what_is_needed_is_left(
            count in 0usize..40,
            needed in proptest::collection::btree_set(0usize..40, 0..6),
        ) {
            let needed: BTreeSet<usize> = needed.into_iter().filter(|n| *n < count).collect();
            let mut asked = 0;
            let left = ddmin((0..count).collect(), |candidates| {
                asked += candidates.len();
                candidates.iter().position(|set| needed.iter().all(|n| set.contains(n)))
            });
            prop_assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), needed);
            prop_assert!(asked <= 1 + count * count * 3);
        }

        #[test]
        fn no_single_item_of_the_result_can_be_spared(
            count in 1usize..24,
            keys in proptest::collection::vec(1u64.., 3),
        ) {
            // Not monotonic: whether a set will do has nothing to do with whether a larger one does.
            let will_do = |set: &[usize]| {
                set.len() == count || (!set.is_empty() && keys.iter().any(|key| {
                    set.iter().fold(*key, |hash, n| squall_core::seed::mix(hash ^ *n as u64)).is_multiple_of(5)
                }))
            };
            let left = ddmin((0..count).collect(), |candidates| {
                candidates.iter().position(|set| will_do(set))
            });
            prop_assert!(will_do(&left));
            for spared in 0..left.len() {
                let mut fewer = left.clone();
                fewer.remove(spared);
                prop_assert!(!will_do(&fewer), "{left:?} without item {spared}");
            }
        }
    }
}
