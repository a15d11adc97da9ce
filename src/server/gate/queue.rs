//! Requests that wait for a worker, taken from the clients' addresses in turn, so that an
//! address with a thousand requests delays another with one by one.
//!
//! An address has two lanes: one for connections that were answered before and one for new
//! ones. So a flood of new connections does not bury a client behind the same address, or the
//! same proxy, that behaved.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// What counts as one client: an IPv4 address, an IPv6 network of 64 bits, or all clients of
/// a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(Option<IpAddr>);

impl Source {
    pub(super) fn of(peer: Option<IpAddr>) -> Source {
        Source(peer.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 => v4,
        }))
    }
}

/// Requests that are taken in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) source: Source,
    /// Whether the connection was answered before.
    pub(super) known: bool,
}

/// The waiting requests, by the key of their connection.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// The lanes that have requests, in the order of their turns.
    turns: VecDeque<Lane>,
    lanes: HashMap<Lane, VecDeque<usize>>,
    length: usize,
    /// How many of them are of connections that were answered before.
    known: usize,
}

impl FairQueue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody who waits goes before a request of this lane.
    pub(super) fn is_free_for(&self, lane: Lane) -> bool {
        self.length == 0 || (lane.known && self.known == 0)
    }

    pub(super) fn push(&mut self, lane: Lane, key: usize) {
        let waiting = self.lanes.entry(lane).or_default();
        if waiting.is_empty() {
            self.turns.push_back(lane);
        }
        waiting.push_back(key);
        self.length += 1;
        self.known += usize::from(lane.known);
    }

    /// The oldest request of the lane whose turn it is, or only of those lanes whose
    /// connections were answered before.
    pub(super) fn pop(&mut self, known_only: bool) -> Option<usize> {
        let turn = self.turns.iter().position(|lane| lane.known || !known_only)?;
        let lane = self.turns.remove(turn)?;
        let waiting = self.lanes.get_mut(&lane)?;
        let key = waiting.pop_front()?;
        self.length -= 1;
        self.known -= usize::from(lane.known);
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        Some(key)
    }

    /// Takes out a request whose client has gone or has waited too long.
    pub(super) fn remove(&mut self, lane: Lane, key: usize) {
        let Some(waiting) = self.lanes.get_mut(&lane) else { return };
        let before = waiting.len();
        waiting.retain(|other| *other != key);
        let removed = before - waiting.len();
        self.length -= removed;
        if lane.known {
            self.known -= removed;
        }
        if waiting.is_empty() {
            self.lanes.remove(&lane);
            self.turns.retain(|turn| *turn != lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(Some(text.parse().unwrap()))
    }

    fn lane(text: &str) -> Lane {
        Lane { source: source(text), known: false }
    }

    #[test]
    fn sources_take_turns() {
        let (many, one) = (lane("192.0.2.1"), lane("192.0.2.2"));
        let mut queue = FairQueue::default();
        (0..3).for_each(|key| queue.push(many, key));
        queue.push(one, 9);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(false)).collect();
        assert_eq!(order, [0, 9, 1, 2]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_known_connection_is_not_buried_under_new_ones() {
        let new = lane("192.0.2.1");
        let known = Lane { known: true, ..new };
        let mut queue = FairQueue::default();
        (0..3).for_each(|key| queue.push(new, key));
        queue.push(known, 9);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(false)).collect();
        assert_eq!(order, [0, 9, 1, 2]);
    }

    #[test]
    fn a_known_connection_goes_where_new_ones_may_not() {
        let new = lane("192.0.2.1");
        let known = Lane { known: true, ..lane("192.0.2.2") };
        let mut queue = FairQueue::default();
        queue.push(new, 0);
        assert!(queue.is_free_for(known) && !queue.is_free_for(new));
        queue.push(known, 9);
        assert!(!queue.is_free_for(known));
        assert_eq!(queue.pop(true), Some(9));
        assert_eq!(queue.pop(true), None);
        assert!(queue.is_free_for(known));
        queue.push(known, 8);
        queue.remove(known, 8);
        assert!(queue.is_free_for(known));
        assert_eq!(queue.pop(false), Some(0));
        assert!(queue.is_free_for(new));
    }

    #[test]
    fn a_removed_request_loses_its_turn() {
        let (a, b) = (lane("192.0.2.1"), lane("192.0.2.2"));
        let mut queue = FairQueue::default();
        queue.push(a, 1);
        queue.push(b, 2);
        queue.remove(a, 1);
        queue.remove(a, 1);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.pop(false), Some(2));
        assert_eq!(queue.pop(false), None);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), Source::of(None));
    }
}
