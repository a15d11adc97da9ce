//! Requests that wait for a worker, taken from the clients' addresses in turn, so that an
//! address with a thousand requests delays another with one by one.

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

/// The waiting requests, by the key of their connection.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// The sources that have requests, in the order of their turns.
    turns: VecDeque<Source>,
    lanes: HashMap<Source, VecDeque<usize>>,
    length: usize,
}

impl FairQueue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, source: Source, key: usize) {
        let lane = self.lanes.entry(source).or_default();
        if lane.is_empty() {
            self.turns.push_back(source);
        }
        lane.push_back(key);
        self.length += 1;
    }

    /// The oldest request of the source whose turn it is.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let source = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&source)?;
        let key = lane.pop_front()?;
        self.length -= 1;
        if lane.is_empty() {
            self.lanes.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        Some(key)
    }

    /// Takes out a request whose client has gone or has waited too long.
    pub(super) fn remove(&mut self, source: Source, key: usize) {
        let Some(lane) = self.lanes.get_mut(&source) else { return };
        let before = lane.len();
        lane.retain(|waiting| *waiting != key);
        self.length -= before - lane.len();
        if lane.is_empty() {
            self.lanes.remove(&source);
            self.turns.retain(|turn| *turn != source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(Some(text.parse().unwrap()))
    }

    #[test]
    fn sources_take_turns() {
        let (many, one) = (source("192.0.2.1"), source("192.0.2.2"));
        let mut queue = FairQueue::default();
        (0..3).for_each(|key| queue.push(many, key));
        queue.push(one, 9);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 9, 1, 2]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_removed_request_loses_its_turn() {
        let (a, b) = (source("192.0.2.1"), source("192.0.2.2"));
        let mut queue = FairQueue::default();
        queue.push(a, 1);
        queue.push(b, 2);
        queue.remove(a, 1);
        queue.remove(a, 1);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), Source::of(None));
    }
}
