//! Cycles in a graph, as plain numbers.

use std::iter::successors;

/// The cycles of a graph in which at most one way leads on from each node: `next` says to which, where there is one.
///
/// Each cycle is its nodes in the order of the ways, from the smallest one on.
pub fn cycles(next: &[Option<usize>]) -> Vec<Vec<usize>> {
    let way_from = |node: &usize| next.get(*node).copied().flatten();
    let mut found = Vec::new();
    // By which walk a node was come to first; a walk is named by the node that it begins with.
    let mut walks = vec![None; next.len()];
    for start in 0..next.len() {
        let known = successors(Some(start), way_from).find(|node| match walks.get_mut(*node) {
            Some(walk @ None) => {
                *walk = Some(start);
                false
            }
            _ => true,
        });
        // The walk has come back to itself, and not to an earlier one.
        if let Some(first) = known.filter(|node| walks.get(*node) == Some(&Some(start))) {
            let mut cycle = vec![first];
            cycle.extend(successors(way_from(&first), way_from).take_while(|node| *node != first));
            let smallest = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
            cycle.rotate_left(smallest);
            found.push(cycle);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_without_ways_has_no_cycles() {
        assert!(cycles(&[]).is_empty());
        assert!(cycles(&[None, None]).is_empty());
    }

    #[test]
    fn a_chain_is_no_cycle() {
        assert!(cycles(&[Some(1), Some(2), None]).is_empty());
        assert!(cycles(&[None, Some(0), Some(1)]).is_empty());
    }

    #[test]
    fn a_node_that_leads_to_itself_is_a_cycle_of_one() {
        assert_eq!(cycles(&[None, Some(1)]), [[1]]);
    }

    #[test]
    fn two_that_lead_to_each_other_are_a_cycle() {
        assert_eq!(cycles(&[Some(1), Some(0)]), [[0, 1]]);
    }

    #[test]
    fn a_ring_is_told_in_the_order_of_its_ways() {
        assert_eq!(cycles(&[Some(2), Some(0), Some(1)]), [[0, 2, 1]]);
    }

    #[test]
    fn those_who_lead_into_a_cycle_are_not_of_it() {
        assert_eq!(cycles(&[Some(3), Some(0), Some(3), Some(4), Some(3)]), [[3, 4]]);
    }

    #[test]
    fn several_cycles_are_all_told_once() {
        let next = [Some(1), Some(0), Some(0), Some(4), Some(5), Some(3), Some(6)];
        assert_eq!(cycles(&next), [vec![0, 1], vec![3, 4, 5], vec![6]]);
    }

    #[test]
    fn a_way_to_nowhere_is_none() {
        assert!(cycles(&[Some(7)]).is_empty());
    }

    #[test]
    fn every_graph_of_five_nodes_has_the_cycles_that_following_each_node_finds() {
        for number in 0..6_usize.pow(5) {
            let next: Vec<Option<usize>> = (0..5)
                .map(|node| (number / 6_usize.pow(node) % 6).checked_sub(1))
                .collect();
            let comes_back = |start: usize| {
                successors(next[start], |node| next[*node])
                    .take(5)
                    .any(|node| node == start)
            };
            let mut within: Vec<usize> = cycles(&next).concat();
            within.sort_unstable();
            let expected: Vec<usize> = (0..5).filter(|node| comes_back(*node)).collect();
            assert_eq!(within, expected, "{next:?}");
        }
    }
}
