//! An order that depends on causes alone, not on how long anything took.

use std::collections::BTreeMap;

/// An event, as far as its place in the order goes.
#[derive(Clone, Debug, Default)]
pub struct Item<'t> {
    /// The nodes on which it happened: whatever happened there earlier comes before it.
    pub lanes: Vec<&'t str>,
    /// Another item, earlier in the list, that caused it.
    pub cause: Option<usize>,
}

/// The items, given in any order that agrees with their causes, in causal order. It is made from its end: before an item
/// comes the message that caused it, and before that what led to the message, as far as nothing else needs them still. So
/// a message leaves just before it matters. Of branches that lead nowhere, those of nodes with greater names come last.
///
/// The happened-before relation is that of Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*,
/// CACM 1978.
pub fn causal(items: &[Item<'_>]) -> Vec<usize> {
    // Of each item, from the least to the most pressing.
    let mut causes = vec![Vec::new(); items.len()];
    let mut effects_left = vec![0; items.len()];
    let mut latest = BTreeMap::<&str, usize>::new();
    for (index, item) in items.iter().enumerate() {
        let earlier_here = item
            .lanes
            .iter()
            .filter_map(|lane| latest.insert(lane, index));
        for cause in earlier_here.chain(item.cause) {
            debug_assert!(cause <= index, "a cause comes before its effect");
            if cause != index && !causes[index].contains(&cause) {
                causes[index].push(cause);
                effects_left[cause] += 1;
            }
        }
    }
    let name = |index: usize| items[index].lanes.first().copied().unwrap_or_default();
    let mut ready: Vec<usize> = (0..items.len()).filter(|&i| effects_left[i] == 0).collect();
    ready.sort_by_key(|&index| (name(index), index));
    let mut order = Vec::with_capacity(items.len());
    while let Some(last) = ready.pop() {
        order.push(last);
        for &cause in &causes[last] {
            effects_left[cause] -= 1;
            if effects_left[cause] == 0 {
                ready.push(cause);
            }
        }
    }
    order.reverse();
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
    fn what_is_free_to_come_early_comes_just_before_its_effect() {
        let items = [
            on(&["a"], None),
            on(&["b"], None),
            on(&["b"], None),
            on(&["b"], Some(0)),
            on(&["b"], None),
        ];
        assert_eq!(causal(&items), [1, 2, 0, 3, 4]);
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
