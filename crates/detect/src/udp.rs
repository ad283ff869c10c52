//! One UDP endpoint: the probes that fit its port, then the others.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portolan_model::Protocol;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::explore::filled;
use crate::found::Found;
use crate::notes::Notes;
use crate::options::{Options, Target};
use crate::rules::{Answer, Probe, RuleSet};

/// How often a probe is sent: datagrams get lost.
const TRIES: u32 = 2;

/// The most datagrams of one answer.
const DATAGRAMS: usize = 8;

/// Finds out what answers; what is known stands in `notes`, also when this is cut off.
pub(crate) async fn udp(target: &Target, options: &Options, rules: &RuleSet, notes: &Mutex<Notes>) {
    if options.intensity == 0 || options.listen_only.contains(target.port) {
        return;
    }
    if take_said(target, rules, notes) {
        return;
    }
    let of_udp = || {
        let probes = rules.probes().iter();
        let probes = probes.filter(|probe| probe.protocol == Protocol::Udp);
        probes.filter(|probe| probe.at_least <= options.intensity)
    };
    let likely = of_udp().filter(|probe| probe.ports.contains(target.port));
    let mut general: Vec<&Probe> = of_udp()
        .filter(|probe| !probe.ports.contains(target.port))
        .filter(|probe| probe.intensity <= options.intensity)
        .collect();
    general.sort_by_key(|probe| probe.intensity);
    if ask(likely.collect(), target, options, rules, notes).await {
        return;
    }
    ask(general, target, options, rules, notes).await;
}

/// Takes what the service said when a scan asked its port; whether that says which program it is.
/// To which of the questions it was is not known: rules tell.
fn take_said(target: &Target, rules: &RuleSet, notes: &Mutex<Notes>) -> bool {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    if target.said.is_empty() {
        return false;
    }
    for probe in rules
        .scanned()
        .filter(|probe| probe.ports.contains(target.port))
    {
        notes.answer(
            rules,
            Answer {
                to: &probe.name,
                protocol: Protocol::Udp,
                bytes: &target.said,
            },
        );
    }
    let is_whole = |found: &Found| found.version.is_some() || found.hidden;
    notes
        .best()
        .is_some_and(|found| !found.soft && found.product.is_some() && is_whole(&found))
}

/// Sends probes, several at a time, until an answer is taken.
async fn ask(
    probes: Vec<&Probe>,
    target: &Target,
    options: &Options,
    rules: &RuleSet,
    notes: &Mutex<Notes>,
) -> bool {
    let mut queue = probes.into_iter();
    let mut running = FuturesUnordered::new();
    let mut took = false;
    loop {
        while !took && running.len() < options.connections * 2 {
            let Some(probe) = queue.next() else { break };
            running.push(async move { (probe, exchange(probe, target, options).await) });
        }
        let Some((probe, bytes)) = running.next().await else {
            return took;
        };
        let Some(bytes) = bytes else { continue };
        let answer = Answer {
            to: &probe.name,
            protocol: Protocol::Udp,
            bytes: &bytes,
        };
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.answer(rules, answer) {
            took = true;
            let best = notes.best();
            // Others that fit the port may say which program it is.
            if best.is_none_or(|found| !found.soft) {
                return true;
            }
        }
    }
}

/// Sends a probe and hears what comes back.
async fn exchange(probe: &Probe, target: &Target, options: &Options) -> Option<Vec<u8>> {
    let local: SocketAddr = if target.address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local).await.ok()?;
    socket.connect(target.socket()).await.ok()?;
    let rtt = target.rtt.unwrap_or_default();
    let mut all = Vec::new();
    let mut datagram = vec![0; 4096];
    for message in &probe.send {
        let message = filled(message, target);
        let before = all.len();
        for _ in 0..TRIES {
            socket.send(&message).await.ok()?;
            let wait = (options.answer / TRIES + rtt * 2).min(options.talk);
            match timeout(wait, socket.recv(&mut datagram)).await {
                Err(_) => {}
                // Refused: nothing listens, or nothing that wants this.
                Ok(Err(_)) => return None,
                Ok(Ok(read)) => {
                    all.extend_from_slice(datagram.get(..read).unwrap_or_default());
                    break;
                }
            }
        }
        if all.len() == before {
            break;
        }
        let quiet = rtt * 2 + Duration::from_millis(20);
        for _ in 1..DATAGRAMS {
            match timeout(quiet, socket.recv(&mut datagram)).await {
                Ok(Ok(read)) if all.len() < options.bytes => {
                    all.extend_from_slice(datagram.get(..read).unwrap_or_default());
                }
                _ => break,
            }
        }
    }
    (!all.is_empty()).then_some(all)
}
