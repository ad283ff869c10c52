//! Hosts that say yes for any port, in a sweep: SYN proxies and tar-pits before whole networks.
//!
//! A listener's own SYN/ACK offers a window (RFC 9293, 3.8.6); what only holds a connection until
//! it has proven itself, such as a SYN proxy, offers none. So answers without a window are held
//! back, few of each host, until there are enough to tell.
//!
//! Others offer one. They give themselves away by their number: of the ports of a host that no
//! service is known for, next to all say yes, and all in the same shape. How many of them were
//! asked by now follows from how far the sweep is, since its order spreads them evenly. A host of
//! which some have answered is waited for until enough were asked; all else is told at once.

use std::collections::HashMap;
use std::net::IpAddr;

use portolan_model::event::{AnswersAll, PortFact};
use portolan_model::{Protocol, services};

use crate::transport::Shape;

/// With no more ports than this, nobody is misled by their number.
const FEW_PORTS: usize = 32;

/// So many answers without a window show a host that answers everything.
const ENOUGH: usize = 8;

/// Ports are odd from here on, where no service is known for them: below, services are at home.
const ODD_FROM: u16 = 1024;

/// With fewer odd ports to ask, a host may well have them all open.
const ODD_PORTS: usize = 256;

/// So many odd ports of a host that are open are suspicious: more are held back.
const SUSPICIOUS: u32 = 8;

/// So many odd ports were asked when it is told whether nearly all answered, or less than half.
const ASKED: f64 = 40.0;
const NEARLY_ALL: f64 = 0.75;
const HALF: f64 = 0.5;

/// So many closed ports clear a host: a listener that is not there is refused.
const CLOSED: u32 = 2;

/// So many hosts are remembered of either kind, and so many answers held back in all; what more
/// there is is told as it comes, so that memory stays constant.
const HOSTS: usize = 1 << 13;
const HELD: usize = 1 << 15;

/// What is known of a host that gave an answer that may be none.
#[derive(Debug)]
enum Liar {
    /// It answered so without a window.
    Windowless(Vec<PortFact>),
    /// It answered so at odd ports, all in this shape.
    Odd {
        shape: Shape,
        open: u32,
        closed: u32,
        held: Vec<PortFact>,
    },
    /// It answers everything in this shape, or none is known and whatever has no window is.
    Everything(Option<Shape>),
    /// It is a host with many ports.
    Cleared,
}

/// The hosts that are suspected.
#[derive(Debug)]
pub(super) struct Liars {
    is_watching: bool,
    /// Of the ports that are asked, how many are odd; 0 where these are too few to tell.
    odd: usize,
    known: HashMap<IpAddr, Liar>,
    /// Answers held back in all.
    held: usize,
}

/// What is to be told.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// These ports are open.
    Open(Vec<PortFact>),
    Nothing,
    /// The host answers everything: this is the first of its answers that are held back.
    Everything(PortFact, AnswersAll),
}

fn is_odd(port: u16) -> bool {
    port >= ODD_FROM && services::name(port, Protocol::Tcp).is_none()
}

impl Liars {
    /// Nobody is suspected, where these ports are asked.
    pub(super) fn new(ports: impl ExactSizeIterator<Item = u16>) -> Self {
        let is_watching = ports.len() > FEW_PORTS;
        let odd = if is_watching {
            ports.filter(|&port| is_odd(port)).count()
        } else {
            0
        };
        Self {
            is_watching,
            odd: if odd < ODD_PORTS { 0 } else { odd },
            known: HashMap::new(),
            held: 0,
        }
    }

    /// A port answered SYN/ACK, in this shape, when this share of all was asked.
    pub(super) fn heard(&mut self, fact: PortFact, shape: Option<Shape>, asked: f64) -> Told {
        let Some(shape) = shape.filter(|_| self.is_watching) else {
            return Told::Open(vec![fact]);
        };
        let address = fact.endpoint.address;
        match self.known.get(&address) {
            Some(Liar::Cleared) => return Told::Open(vec![fact]),
            Some(Liar::Everything(common)) => {
                // What looks unlike the others is something else that answers there.
                let is_alike = common.map_or(shape.window == 0, |common| common == shape);
                return if is_alike {
                    Told::Nothing
                } else {
                    Told::Open(vec![fact])
                };
            }
            None if self.known.len() >= HOSTS => return Told::Open(vec![fact]),
            Some(Liar::Windowless(_) | Liar::Odd { .. }) | None => {}
        }
        if shape.window == 0 {
            self.windowless(fact)
        } else {
            self.offers_a_window(fact, shape, asked)
        }
    }

    fn windowless(&mut self, fact: PortFact) -> Told {
        let (address, at) = (fact.endpoint.address, fact.at);
        let liar = self.known.entry(address);
        let liar = liar.or_insert_with(|| Liar::Windowless(Vec::new()));
        let Liar::Windowless(held) = liar else {
            // It offers a window elsewhere: that is a host with something odd about it.
            return Told::Open(vec![fact]);
        };
        held.push(fact);
        if held.len() < ENOUGH {
            return Told::Nothing;
        }
        let first = held.swap_remove(0);
        *liar = Liar::Everything(None);
        let count = u32::try_from(ENOUGH).unwrap_or(u32::MAX);
        let found = everything(address, at, (count, count, count));
        Told::Everything(first, found)
    }

    fn offers_a_window(&mut self, fact: PortFact, shape: Shape, asked: f64) -> Told {
        let address = fact.endpoint.address;
        if self.odd == 0 {
            return Told::Open(vec![fact]);
        }
        let is_odd = is_odd(fact.endpoint.port);
        // Those without a window need room as well, and are surer.
        let has_room = is_odd && self.known.len() < HOSTS / 2;
        if !has_room && !self.known.contains_key(&address) {
            return Told::Open(vec![fact]);
        }
        let liar = self.known.entry(address).or_insert_with(|| Liar::Odd {
            shape,
            open: 0,
            closed: 0,
            held: Vec::new(),
        });
        let Liar::Odd {
            shape: common,
            open,
            held,
            ..
        } = liar
        else {
            return Told::Open(vec![fact]);
        };
        if *common != shape {
            return Told::Open(vec![fact]);
        }
        *open += u32::from(is_odd);
        if *open <= SUSPICIOUS || self.held >= HELD {
            return Told::Open(vec![fact]);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of ports")]
        let asked = (self.odd as f64 * asked).max(f64::from(*open));
        let at = fact.at;
        held.push(fact);
        self.held += 1;
        if asked < ASKED {
            return Told::Nothing;
        }
        let answered = f64::from(*open);
        if answered >= NEARLY_ALL * asked {
            self.held -= held.len();
            let first = held.swap_remove(0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of ports, which fits"
            )]
            let counts = (asked.round() as u32, *open, 0);
            *liar = Liar::Everything(Some(shape));
            return Told::Everything(first, everything(address, at, counts));
        }
        if answered < HALF * asked {
            return Told::Open(self.clear(address));
        }
        Told::Nothing
    }

    /// A port refused; what is to be told of its host then.
    pub(super) fn refused(&mut self, address: IpAddr) -> Vec<PortFact> {
        if self.known.is_empty() {
            return Vec::new();
        }
        let Some(Liar::Odd { open, closed, .. }) = self.known.get_mut(&address) else {
            return Vec::new();
        };
        *closed += 1;
        // A proxy before all ports may have a few that pass.
        if *closed < CLOSED.max(*open / 4) {
            return Vec::new();
        }
        self.clear(address)
    }

    /// A host has many ports, and no more: what was held back of it.
    fn clear(&mut self, address: IpAddr) -> Vec<PortFact> {
        let Some(Liar::Odd { held, .. }) = self.known.insert(address, Liar::Cleared) else {
            return Vec::new();
        };
        self.held -= held.len();
        held
    }

    /// What was held back of hosts that gave too few such answers, in the order of addresses.
    pub(super) fn release(&mut self) -> Vec<PortFact> {
        let mut facts: Vec<PortFact> = self
            .known
            .drain()
            .flat_map(|(_, liar)| match liar {
                Liar::Windowless(held) | Liar::Odd { held, .. } => held,
                Liar::Everything(_) | Liar::Cleared => Vec::new(),
            })
            .collect();
        facts.sort_by_key(|fact| (fact.endpoint.address, fact.endpoint.port));
        facts
    }
}

/// That a host answers everything: so many were asked, answered, and did so without a window.
fn everything(
    address: IpAddr,
    at: jiff::Timestamp,
    (asked, answered, windowless): (u32, u32, u32),
) -> AnswersAll {
    AnswersAll {
        address,
        protocol: Protocol::Tcp,
        asked,
        answered,
        windowless,
        at,
    }
}
