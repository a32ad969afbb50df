//! A loopback network of its own for each cluster: `127.N.0.0/16`, so that clusters that run at once share no port.
//!
//! Comes in: nothing. Goes out: addresses for the control plane, nodes and pods, and ports.
//! It must not give an address twice while the cluster lives.
//!
//! | Addresses | For |
//! |---|---|
//! | `127.N.0.1` | the control plane |
//! | `127.N.0.2` … | nodes |
//! | `127.N.1.1` … `127.N.127.254` | pods of process nodes |
//! | `127.N.128.0/17` | pods of kwok |

use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Held open as the claim to a network.
const CLAIM_PORT: u16 = 6442;

/// See the file's comment.
#[derive(Debug)]
pub(super) struct Network {
    number: u8,
    nodes: AtomicU16,
    pods: AtomicU16,
    _claim: TcpListener,
}

impl Network {
    /// Takes a network that no other cluster on this machine has.
    pub(super) fn claim() -> Self {
        let start = std::hash::RandomState::new().build_hasher().finish();
        let mut numbers =
            (0..254_u64).map(|step| u8::try_from((start.wrapping_add(step)) % 254 + 1).unwrap());
        let (number, claim) = numbers
            .find_map(|number| {
                let claim = TcpListener::bind((Ipv4Addr::new(127, number, 0, 1), CLAIM_PORT)).ok()?;
                Some((number, claim))
            })
            .expect("one of the networks 127.1.0.0/16 to 127.254.0.0/16 is free");
        Self { number, nodes: AtomicU16::new(2), pods: AtomicU16::new(0), _claim: claim }
    }

    /// Of the control plane.
    pub(super) fn control_plane(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.number, 0, 1)
    }

    /// For one more node.
    pub(super) fn node(&self) -> Ipv4Addr {
        let number = u8::try_from(self.nodes.fetch_add(1, Ordering::Relaxed)).expect("at most 253 nodes");
        Ipv4Addr::new(127, self.number, 0, number)
    }

    /// For one more pod.
    pub(super) fn pod(&self) -> Ipv4Addr {
        let (third, fourth) = pod(self.pods.fetch_add(1, Ordering::Relaxed));
        Ipv4Addr::new(127, self.number, third, fourth)
    }

    /// For the pods of kwok, as `address/length`.
    pub(super) fn kwok(&self) -> String {
        format!("127.{}.128.1/17", self.number)
    }

    /// A free port of the control plane, the usual one if it can be had.
    pub(super) fn port(&self, usual: u16) -> u16 {
        Self::port_of(self.control_plane(), usual)
    }

    /// A free port of an address of this network, the usual one if it can be had.
    pub(super) fn port_of(address: Ipv4Addr, usual: u16) -> u16 {
        let listener = TcpListener::bind((address, usual)).or_else(|_| TcpListener::bind((address, 0)));
        let listener = listener.expect("a free port");
        listener.local_addr().as_ref().map(SocketAddr::port).expect("its number")
    }
}

/// The last two numbers of the n-th pod's address.
fn pod(n: u16) -> (u8, u8) {
    let third = u8::try_from(1 + n / 254).ok().filter(|third| *third < 128).expect("at most 32,000 pods");
    (third, u8::try_from(1 + n % 254).expect("below 255"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_count_through_their_range() {
        assert_eq!(pod(0), (1, 1));
        assert_eq!(pod(253), (1, 254));
        assert_eq!(pod(254), (2, 1));
        assert_eq!(pod(127 * 254 - 1), (127, 254));
    }

    #[test]
    fn two_clusters_never_share_a_network() {
        let (one, two) = (Network::claim(), Network::claim());
        assert_ne!(one.control_plane(), two.control_plane());
        assert_ne!(one.pod(), one.pod());
        assert_eq!(one.node(), Ipv4Addr::new(127, one.number, 0, 2));
    }
}
