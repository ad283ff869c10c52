//! The kernel's interfaces as one device.

mod asking;
mod device;
mod ways;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use portolan_scan::Zones;
use portolan_scan::clock::Clock;
use portolan_scan::device::{DeviceError, RouteError};
use portolan_wire::MacAddress;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cells::Cells;
use crate::changes::{Asked, Change, Changes, look};
use crate::error::{Error, Result};
use crate::inlets::Inlets;
use crate::kernel::{Interface, Kernel};
use crate::neighbours::{Neighbour, Neighbours};
use crate::outlets::{Outlet, Outlets, Run};
use crate::path::{Path, Way, Ways};

/// What a link is opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The ports that probes are sent from: what comes to others is not heard.
    pub ports: RangeInclusive<u16>,
    /// Sends over this interface only, whatever the routing table says.
    pub interface: Option<String>,
    /// Sends from this address, to destinations of its family.
    pub source: Option<IpAddr>,
    /// Sends to these link-local addresses over these interfaces.
    pub zones: Zones,
}

impl Options {
    /// Any interface, the kernel's choice of source addresses.
    pub const fn new(ports: RangeInclusive<u16>) -> Self {
        Self {
            ports,
            interface: None,
            source: None,
            zones: Zones::NONE,
        }
    }
}

/// What ends a wait before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awake {
    /// Packets, answers of neighbours, and changes.
    All,
    /// Answers of neighbours.
    Neighbours,
}

/// Which sockets have something.
#[derive(Debug, Clone, Copy)]
struct Ready {
    /// Those of IPv4 and of IPv6.
    packets: [bool; 2],
    neighbours: bool,
    /// Of changes.
    notices: bool,
}

/// The kernel's interfaces as one device: see the [crate] for what it does.
///
/// It belongs to the network namespace that it was opened in.
#[derive(Debug)]
pub struct Link<C> {
    clock: C,
    kernel: Kernel,
    changes: Changes,
    outlets: Outlets,
    inlets: Inlets,
    asked: Asked,
    paths: Vec<Path>,
    /// By their indices.
    interfaces: HashMap<u32, Interface>,
    cells: Cells,
    /// The interfaces with their addresses, once they were needed.
    own: Option<Vec<crate::local::Interface>>,
    ways: Ways,
    neighbours: Neighbours,
    /// Packets whose neighbour has answered, and that have not left yet.
    freed: VecDeque<(Outlet, Neighbour, MacAddress, Box<[u8]>)>,
    /// What became of neighbours; `None` for one that did not answer.
    news: VecDeque<(IpAddr, Option<MacAddress>)>,
    run: Run,
    /// When packets were taken last.
    heard_at: Duration,
    unresolved: u64,
    /// What ended the use of this device.
    ended: Option<Change>,
}

impl<C: Clock> Link<C> {
    /// Opens all sockets. Rights are needed for this and for nothing later.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without `CAP_NET_RAW`, [`Error::NoInterface`] and
    /// [`Error::SourceNotOurs`] for options that name what is not there, [`Error::NoPorts`] for
    /// an empty range, [`Error::System`] otherwise.
    pub fn open(clock: C, options: &Options) -> Result<Self> {
        if options.ports.is_empty() {
            return Err(Error::NoPorts {
                first: *options.ports.start(),
                last: *options.ports.end(),
            });
        }
        let outlets = Outlets::open()?;
        let inlets = Inlets::open(&options.ports, clock.now())?;
        let failed = |source| Error::System {
            doing: "ask the kernel for its interfaces",
            source,
        };
        // Heard before anything is asked, so that no change falls between.
        let changes = Changes::open().map_err(failed)?;
        let mut kernel = Kernel::open().map_err(failed)?;
        let interface = match &options.interface {
            None => None,
            Some(name) => {
                let found = kernel.interface_by_name(name).map_err(failed)?;
                let found = found.ok_or_else(|| Error::NoInterface { name: name.clone() })?;
                Some(found.index)
            }
        };
        if let Some(address) = options.source
            && !address.is_loopback()
            && kernel.owner(address).map_err(failed)?.is_none()
        {
            return Err(Error::SourceNotOurs { address });
        }
        let asked = Asked {
            source: options.source,
            interface,
            zones: options.zones.clone(),
        };
        outlets.restrict(&asked)?;
        Ok(Self {
            clock,
            kernel,
            changes,
            outlets,
            inlets,
            asked,
            paths: Vec::new(),
            interfaces: HashMap::new(),
            cells: Cells::default(),
            own: None,
            ways: Ways::default(),
            neighbours: Neighbours::default(),
            freed: VecDeque::new(),
            news: VecDeque::new(),
            run: Run::new(),
            heard_at: Duration::ZERO,
            unresolved: 0,
            ended: None,
        })
    }

    /// The clock that its times are of.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    fn path(&self, way: &Way) -> Option<&Path> {
        self.paths.get(usize::try_from(way.path).ok()?)
    }

    /// Waits until a socket has something, or until a time; says which have.
    fn wait(&self, until: Duration, awake: Awake) -> std::result::Result<Ready, DeviceError> {
        let left = until.saturating_sub(self.clock.now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        // A socket whose packets stay where they are must not wake us again and again.
        let packets = match awake {
            Awake::All => PollFlags::IN,
            Awake::Neighbours => PollFlags::empty(),
        };
        let [v4, v6, arp, advertisements] = self.inlets.sockets();
        let notices = &self.changes.notices;
        let mut waiting = [
            PollFd::from_borrowed_fd(v4, packets),
            PollFd::from_borrowed_fd(v6, packets),
            PollFd::from_borrowed_fd(arp, PollFlags::IN),
            PollFd::from_borrowed_fd(advertisements, PollFlags::IN),
            PollFd::new(notices, packets),
        ];
        match poll(&mut waiting, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(DeviceError::System {
                    doing: "wait for packets",
                    source: error.into(),
                });
            }
        }
        let [v4, v6, arp, advertisements, notices] =
            waiting.each_ref().map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            packets: [v4, v6],
            neighbours: arp || advertisements,
            notices,
        })
    }

    /// Waits until a time, whatever comes: sockets of an interface that is down wake us for nothing.
    fn sleep(&self, until: Duration) {
        let left = until.saturating_sub(self.clock.now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        // A signal ends it sooner: then it is asked for again.
        let _ = poll(&mut [], Some(&timeout));
    }

    /// What an error of sending means.
    fn explain(&mut self, to: IpAddr, len: usize, error: io::Error) -> DeviceError {
        let bad = |why| DeviceError::BadPacket {
            destination: Some(to),
            len,
            why,
        };
        match error.raw_os_error() {
            Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO) => {
                self.look_for_changes();
                match &self.ended {
                    Some(change) => change.clone().into(),
                    None => DeviceError::System {
                        doing: "send packets",
                        source: error,
                    },
                }
            }
            Some(libc::EPERM | libc::EACCES) => DeviceError::Forbidden {
                destination: to,
                source: error,
            },
            Some(libc::EMSGSIZE) => bad("it is longer than the link takes"),
            Some(libc::EINVAL) => bad("the system does not take it"),
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
                RouteError::NoRoute { destination: to }.into()
            }
            _ => DeviceError::System {
                doing: "send packets",
                source: error,
            },
        }
    }

    /// Looks at every path in use, and forgets what hung on the old state.
    fn look_for_changes(&mut self) {
        self.cells.forget();
        self.ways.clear();
        self.interfaces.clear();
        self.own = None;
        for path in &mut self.paths {
            path.gateway_mac = None;
            // Where the kernel cannot be asked, sending shows what is wrong.
            if let Ok(Some(change)) = look(&mut self.kernel, path, &self.asked) {
                self.ended = Some(change);
                return;
            }
        }
    }

    fn check(&self) -> std::result::Result<(), DeviceError> {
        match &self.ended {
            None => Ok(()),
            Some(change) => Err(change.clone().into()),
        }
    }
}

fn failed_to_receive(source: io::Error) -> DeviceError {
    DeviceError::System {
        doing: "receive packets",
        source,
    }
}
