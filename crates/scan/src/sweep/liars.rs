//! Hosts that say yes for any port, in a sweep: SYN proxies before whole networks.
//!
//! A listener's own SYN/ACK offers a window (RFC 9293, 3.8.6); what only holds a connection until
//! it has proven itself, such as a SYN proxy, offers none. So answers without a window are held
//! back, few of each host, until there are enough to tell. All else is told at once.

use std::collections::HashMap;
use std::net::IpAddr;

use portolan_model::Protocol;
use portolan_model::event::{AnswersAll, PortFact};

use crate::transport::Shape;

/// With no more ports than this, nobody is misled by their number.
const FEW_PORTS: usize = 32;

/// So many answers without a window show a host that answers everything.
const ENOUGH: usize = 8;

/// So many hosts are remembered; what more there are is told as it comes, so that memory stays
/// constant.
const HOSTS: usize = 1 << 13;

#[derive(Debug)]
enum Liar {
    Suspected(Vec<PortFact>),
    Everything,
}

/// The hosts that answered without a window.
#[derive(Debug)]
pub(super) struct Liars {
    is_watching: bool,
    known: HashMap<IpAddr, Liar>,
}

/// What is to be told.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// The port is open.
    Open(PortFact),
    Nothing,
    /// The host answers everything: this is its first answer that is held back.
    Everything(PortFact, AnswersAll),
}

impl Liars {
    /// Nobody is suspected, where so many ports are asked.
    pub(super) fn new(ports: usize) -> Self {
        Self {
            is_watching: ports > FEW_PORTS,
            known: HashMap::new(),
        }
    }

    /// A port answered SYN/ACK, in this shape.
    pub(super) fn heard(&mut self, fact: PortFact, shape: Option<Shape>) -> Told {
        let is_windowless = shape.is_some_and(|shape| shape.window == 0);
        let address = fact.endpoint.address;
        let has_room = self.known.len() < HOSTS || self.known.contains_key(&address);
        if !self.is_watching || !is_windowless || !has_room {
            return Told::Open(fact);
        }
        let at = fact.at;
        let liar = self.known.entry(address);
        let liar = liar.or_insert_with(|| Liar::Suspected(Vec::new()));
        let Liar::Suspected(held) = liar else {
            return Told::Nothing;
        };
        held.push(fact);
        if held.len() < ENOUGH {
            return Told::Nothing;
        }
        let first = held.swap_remove(0);
        *liar = Liar::Everything;
        let count = u32::try_from(ENOUGH).unwrap_or(u32::MAX);
        Told::Everything(
            first,
            AnswersAll {
                address,
                protocol: Protocol::Tcp,
                asked: count,
                answered: count,
                windowless: count,
                at,
            },
        )
    }

    /// What was held back of hosts that gave too few such answers, in the order of addresses.
    pub(super) fn release(&mut self) -> Vec<PortFact> {
        let mut facts: Vec<PortFact> = self
            .known
            .drain()
            .flat_map(|(_, liar)| match liar {
                Liar::Suspected(held) => held,
                Liar::Everything => Vec::new(),
            })
            .collect();
        facts.sort_by_key(|fact| (fact.endpoint.address, fact.endpoint.port));
        facts
    }
}
