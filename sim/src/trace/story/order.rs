//! An order that depends on causes alone, not on how long anything took.

use std::collections::{BTreeMap, BTreeSet};

/// An event, as far as its place in the order goes.
#[derive(Clone, Debug, Default)]
pub struct Item<'t> {
    /// The nodes on which it happened: whatever happened there earlier comes before it.
    pub lanes: Vec<&'t str>,
    /// Another item, earlier in the list, that caused it.
    pub cause: Option<usize>,
}

/// The items, given in any order that agrees with their causes, in causal order. Of several that could come next, the one
/// on the node whose name is first does.
///
/// The happened-before relation is that of Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*,
/// CACM 1978.
pub fn causal(items: &[Item<'_>]) -> Vec<usize> {
    let mut effects = vec![Vec::new(); items.len()];
    let mut causes_left = vec![0; items.len()];
    let mut latest = BTreeMap::<&str, usize>::new();
    for (index, item) in items.iter().enumerate() {
        let earlier_here = item
            .lanes
            .iter()
            .filter_map(|lane| latest.insert(lane, index));
        let causes: BTreeSet<usize> = earlier_here
            .chain(item.cause)
            .filter(|cause| *cause != index)
            .collect();
        for cause in causes {
            debug_assert!(cause < index, "a cause comes before its effect");
            effects[cause].push(index);
            causes_left[index] += 1;
        }
    }
    let name = |index: usize| items[index].lanes.first().copied().unwrap_or_default();
    let mut ready: BTreeSet<(&str, usize)> = (0..items.len())
        .filter(|&index| causes_left[index] == 0)
        .map(|index| (name(index), index))
        .collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some((_, next)) = ready.pop_first() {
        order.push(next);
        for &effect in &effects[next] {
            causes_left[effect] -= 1;
            if causes_left[effect] == 0 {
                ready.insert((name(effect), effect));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on<'t>(lanes: &[&'t str], cause: Option<usize>) -> Item<'t> {
        Item {
            lanes: lanes.to_vec(),
            cause,
        }
    }

    #[test]
    fn independent_branches_are_told_by_node_name() {
        let items = [
            on(&["a"], None),
            on(&["c"], Some(0)),
            on(&["b"], Some(0)),
            on(&["c"], None),
            on(&["b"], None),
        ];
        assert_eq!(causal(&items), [0, 2, 4, 1, 3]);
    }

    #[test]
    fn an_item_of_several_nodes_parts_before_from_after_on_all() {
        let items = [
            on(&["b"], None),
            on(&["a", "b"], None),
            on(&["a"], None),
            on(&["c"], None),
        ];
        assert_eq!(causal(&items), [0, 1, 2, 3]);
    }

    #[test]
    fn nothing_comes_from_nothing() {
        assert!(causal(&[]).is_empty());
    }
}
