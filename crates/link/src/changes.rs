//! What changes under a scan: an interface, an address, a route. Whatever the kernel's notices
//! say, the paths in use are looked at anew; so nothing depends on notices that were lost.

use std::net::IpAddr;
use std::time::Duration;

use portolan_scan::Zones;
use portolan_scan::device::DeviceError;

use crate::kernel::KernelRoute;
use crate::kernel::{Kernel, Notices};
use crate::path::{Carrier, Path, Words};

/// Paths are looked at this often at the most: a router's table may change all the time.
const GAP: Duration = Duration::from_millis(100);

/// What ended the use of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Down(String),
    Gone(String),
    AddressLost(IpAddr, String),
    Route {
        destination: IpAddr,
        was: String,
        now: String,
    },
}

impl From<Change> for DeviceError {
    fn from(change: Change) -> Self {
        match change {
            Change::Down(interface) => Self::InterfaceDown { interface },
            Change::Gone(interface) => Self::InterfaceGone { interface },
            Change::AddressLost(address, interface) => Self::AddressLost { address, interface },
            Change::Route {
                destination,
                was,
                now,
            } => Self::RouteChanged {
                destination,
                was,
                now,
            },
        }
    }
}

/// What the user chose, and so is part of every question for a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) source: Option<IpAddr>,
    pub(crate) interface: Option<u32>,
    /// Of link-local addresses.
    pub(crate) zones: Zones,
}

impl Asked {
    /// The source that was chosen for destinations like this one.
    pub(crate) fn source_for(&self, destination: IpAddr) -> Option<IpAddr> {
        let is_fitting = |source: &IpAddr| source.is_ipv4() == destination.is_ipv4();
        self.source.filter(is_fitting)
    }

    /// How the kernel would send to a destination.
    pub(crate) fn route(
        &self,
        kernel: &mut Kernel,
        destination: IpAddr,
    ) -> std::io::Result<Option<KernelRoute>> {
        let interface = self.zones.index_of(destination).or(self.interface);
        kernel.route(destination, self.source_for(destination), interface)
    }
}

/// Watches for changes.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) notices: Notices,
    /// Something changed that was not looked at.
    is_stale: bool,
    looked_at: Option<Duration>,
}

impl Changes {
    pub(crate) fn open() -> std::io::Result<Self> {
        Ok(Self {
            notices: Notices::open()?,
            is_stale: false,
            looked_at: None,
        })
    }

    /// Takes the notices that have come.
    pub(crate) fn take_notices(&mut self) {
        self.is_stale |= self.notices.any();
    }

    /// Whether paths are to be looked at now.
    pub(crate) fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.is_stale && self.looked_at.is_none_or(|at| now >= at + GAP);
        if is_due {
            self.is_stale = false;
            self.looked_at = Some(now);
        }
        is_due
    }

    /// When paths are to be looked at, if something changed.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let after = self.looked_at.map_or(Duration::ZERO, |at| at + GAP);
        self.is_stale.then_some(after)
    }
}

/// Whether a path is still the way to its sample; what changed, if not. `asked` is what the
/// question was when the path was found. What is told of the interface is brought up to date.
pub(crate) fn look(
    kernel: &mut Kernel,
    path: &mut Path,
    asked: &Asked,
) -> std::io::Result<Option<Change>> {
    match kernel.interface(path.interface.index)? {
        None => return Ok(Some(Change::Gone(path.interface.name.clone()))),
        Some(interface) if !interface.is_up() => return Ok(Some(Change::Down(interface.name))),
        // Its MAC address may be another.
        Some(interface) => path.interface = interface,
    }
    let name = &path.interface.name;
    // This machine's own traffic may use addresses that no interface lists, such as 127.0.0.2.
    if path.carrier != Carrier::Host && kernel.owner(path.source)?.is_none() {
        return Ok(Some(Change::AddressLost(path.source, name.clone())));
    }
    let now = asked.route(kernel, path.sample)?;
    // That the kernel would now prefer another source, such as the next temporary address,
    // changes nothing for packets that bring theirs.
    let is_same = now
        .as_ref()
        .is_some_and(|now| now.interface == path.interface.index && now.gateway == path.gateway);
    if is_same {
        return Ok(None);
    }
    let was = Words {
        gateway: path.gateway,
        interface: name,
    };
    let now = match now {
        None => "none".to_owned(),
        Some(now) => {
            let interface = kernel.interface(now.interface)?;
            let words = Words {
                gateway: now.gateway,
                interface: interface.as_ref().map_or("?", |found| &found.name),
            };
            words.to_string()
        }
    };
    Ok(Some(Change::Route {
        destination: path.sample,
        was: was.to_string(),
        now,
    }))
}
