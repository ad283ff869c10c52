//! The network in real time, behind a TUN or TAP device in a network namespace of its own: for
//! whole programs, ours and others.
//!
//! Needs the rights to make namespaces and devices (`CAP_SYS_ADMIN`, `CAP_NET_ADMIN`) and the
//! commands of iproute2.

mod namespace;
mod outcome;
mod serve;

pub use outcome::{DeviceCounters, Outcome, TruthSummary};

use std::fs::File;
use std::path::Path as FilePath;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::scenario::LinkKind;
use crate::{Error, EthernetFront, Network, Result, Scenario};
use namespace::Namespace;

/// How long a queue the kernel keeps before the device, in packets. The scenario's own queues are
/// to decide what is dropped, so it is as long as the kernel lets a device have without asking for
/// much memory at once.
const KERNEL_QUEUE: u32 = 20_000;

/// Where and for how long a network runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespace, which must not exist yet.
    pub namespace: String,
    /// The device in it.
    pub device: String,
    /// After this long it ends by itself.
    pub limit: Option<Duration>,
    /// Whether the end of standard input ends it.
    pub stdin: Stdin,
}

/// Whether the end of standard input ends a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// It does: whoever started it is gone.
    Watched,
    /// It does not.
    Ignored,
}

/// Makes namespace, device, addresses and routes, calls `ready`, and runs the scenario until
/// `stop` is set, standard input ends, or the limit is reached. Then everything is removed.
///
/// # Errors
/// [`Error::Command`] when iproute2 fails (also when the namespace exists), [`Error::System`] when
/// the device cannot be made or fails.
pub fn run(
    scenario: &Scenario,
    settings: &Settings,
    stop: &AtomicBool,
    ready: impl FnOnce() + Send,
) -> Result<Outcome> {
    scenario.check()?;
    let namespace = Namespace::create(&settings.namespace)?;
    // A thread of its own enters the namespace, so that the caller stays where it is.
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let device = make_device(&namespace, scenario, settings)?;
            ready();
            match scenario.link.kind {
                LinkKind::Tun => {
                    let mut network = Network::new(scenario);
                    let (device, time) = serve::serve(&device, &mut network, settings, stop)?;
                    Ok(Outcome::new(scenario, &network, device, time))
                }
                LinkKind::Tap => {
                    let mut front = EthernetFront::new(scenario);
                    let (device, time) = serve::serve(&device, &mut front, settings, stop)?;
                    Ok(Outcome::new(scenario, front.network(), device, time))
                }
            }
        });
        worker.join().unwrap_or_else(|_| {
            Err(Error::Usage(
                "the network's thread ended in a panic".to_owned(),
            ))
        })
    })
}

/// Enters the namespace for good, and makes the device there with its addresses and routes.
fn make_device(
    namespace: &Namespace,
    scenario: &Scenario,
    settings: &Settings,
) -> Result<SyncDevice> {
    let system = |what| move |source| Error::System { what, source };
    let path = FilePath::new("/run/netns").join(namespace.name());
    let file = File::open(&path).map_err(|source| Error::Read { path, source })?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| system("enter the namespace")(errno.into()))?;
    let layer = match scenario.link.kind {
        LinkKind::Tun => Layer::L3,
        LinkKind::Tap => Layer::L2,
    };
    let device = DeviceBuilder::new()
        .name(&settings.device)
        .layer(layer)
        .enable(false)
        .build_sync()
        .map_err(system("make the device"))?;
    device
        .set_nonblocking(true)
        .map_err(system("make the device non-blocking"))?;
    let name = &settings.device;
    let link = &scenario.link;
    namespace.ip(&format!("link set {name} addrgenmode none"))?;
    namespace.ip(&format!("link set {name} txqueuelen {KERNEL_QUEUE}"))?;
    namespace.ip("link set lo up")?;
    namespace.ip(&format!("link set {name} up"))?;
    namespace.ip(&format!("addr add {}/24 dev {name}", link.address))?;
    namespace.ip(&format!("addr add {}/64 dev {name} nodad", link.address6))?;
    let is_routed =
        link.kind == LinkKind::Tap && link.attached == crate::scenario::Attached::Gateway;
    let via = |gateway: String| {
        if is_routed {
            format!("via {gateway}")
        } else {
            String::new()
        }
    };
    let (v4, v6) = (
        via(link.gateway.to_string()),
        via(link.gateway6.to_string()),
    );
    namespace.ip(&format!("-4 route add default {v4} dev {name}"))?;
    namespace.ip(&format!("-6 route add default {v6} dev {name}"))?;
    Ok(device)
}
