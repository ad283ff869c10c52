//! What wakes us: programs for the kernel's packet filter (bpf(4); the kernel's
//! Documentation/networking/filter.rst).
//!
//! The sockets hand packets over from their network header on, so that offsets count from
//! there.

use std::ops::RangeInclusive;

use portolan_wire::Protocol;

use crate::search::REPORTS;
use crate::sys::Instruction;

/// The marks of our own packets on the loopback, where what goes out comes in.
pub(crate) const MARK: u32 = 0x706f_7274;

/// Operations (`linux/bpf_common.h`).
mod code {
    pub(super) const LOAD_WORD: u16 = 0x20;
    pub(super) const LOAD_HALF: u16 = 0x28;
    pub(super) const LOAD_BYTE: u16 = 0x30;
    pub(super) const LOAD_HALF_INDEXED: u16 = 0x48;
    pub(super) const LOAD_BYTE_INDEXED: u16 = 0x50;
    pub(super) const LOAD_HEADER_LEN: u16 = 0xb1;
    pub(super) const JUMP_EQUAL: u16 = 0x15;
    pub(super) const JUMP_ABOVE: u16 = 0x25;
    pub(super) const JUMP_FROM: u16 = 0x35;
    pub(super) const JUMP_ANY_BIT: u16 = 0x45;
    pub(super) const RETURN: u16 = 0x06;
}

/// Where the kernel's own facts of a packet are loaded from (`linux/filter.h`, `SKF_AD_…`).
const FACT_KIND: u32 = 0xffff_f000 + 4;
const FACT_MARK: u32 = 0xffff_f000 + 20;

/// Returned: the packet whole, or none of it.
const WHOLE: u32 = 0x4_0000;
const NOTHING: u32 = 0;

/// Offsets in headers.
mod field {
    pub(super) const V4_FRAGMENT: u32 = 6;
    pub(super) const V4_PROTOCOL: u32 = 9;
    pub(super) const V6_NEXT_HEADER: u32 = 6;
    pub(super) const V6_HOP_LIMIT: u32 = 7;
    pub(super) const V6_PAYLOAD: u32 = 40;
    pub(super) const DESTINATION_PORT: u32 = 2;
    pub(super) const TCP_FLAGS: u32 = 13;
    pub(super) const ARP_OPERATION: u32 = 6;
}

const FRAGMENT_OFFSET: u32 = 0x1fff;

/// ACK or RST: what every answer of a host has, and a SYN of its own has not.
const ANSWER: u32 = 0x14;

/// Echo reply, unreachable, quench, time exceeded, parameter problem, timestamp and mask reply
/// (RFC 792, RFC 950).
const ICMP_V4: [u32; 7] = [0, 3, 4, 11, 12, 14, 18];

/// Unreachable, too big, time exceeded, parameter problem, echo reply (RFC 4443).
const ICMP_V6: [u32; 5] = [1, 2, 3, 4, 129];

/// Headers between IPv6 and the transport protocol; rare, and left to who reads the packet:
/// hop-by-hop, routing, fragment, destination options (RFC 8200, 4.1).
const EXTENSIONS: [u8; 4] = [0, 43, 44, 60];

/// Bytes of an extension header that says it is as short as can be (RFC 8200, 4.3).
const SHORTEST_EXTENSION: u32 = 8;

/// Neighbour advertisement (RFC 4861, 4.4).
const ADVERTISEMENT: u32 = 136;

/// A step of a section. A comparison that fails ends the program: the packet is not ours.
#[derive(Debug, Clone)]
enum Step {
    Load(u16, u32),
    Equal(u32),
    Range(u32, u32),
    AnyBit(u32),
    NoBit(u32),
    OneOf(Vec<u32>),
}

/// IPv4: answers to these ports, and ICMP that may concern a probe.
pub(crate) fn ipv4(ports: &RangeInclusive<u16>) -> Vec<Instruction> {
    let not_fragment = [
        Step::Load(code::LOAD_HALF, field::V4_FRAGMENT),
        Step::NoBit(FRAGMENT_OFFSET),
        Step::Load(code::LOAD_HEADER_LEN, 0),
    ];
    let to_port = [
        Step::Load(code::LOAD_HALF_INDEXED, field::DESTINATION_PORT),
        range(ports),
    ];
    let answers = [
        Step::Load(code::LOAD_BYTE_INDEXED, field::TCP_FLAGS),
        Step::AnyBit(ANSWER),
    ];
    let tcp = [&not_fragment[..], &to_port, &answers].concat();
    let udp = [&not_fragment[..], &to_port].concat();
    let icmp_kind = [
        Step::Load(code::LOAD_BYTE_INDEXED, 0),
        Step::OneOf(ICMP_V4.to_vec()),
    ];
    let icmp = [&not_fragment[..], &icmp_kind].concat();
    program(
        field::V4_PROTOCOL,
        &[
            (Protocol::TCP.0, tcp),
            (Protocol::UDP.0, udp),
            (Protocol::ICMP.0, icmp),
        ],
    )
}

/// IPv6: answers to these ports, `ICMPv6` that may concern a probe, and packets with extension
/// headers.
pub(crate) fn ipv6(ports: &RangeInclusive<u16>) -> Vec<Instruction> {
    let to_port = [
        Step::Load(code::LOAD_HALF, field::V6_PAYLOAD + field::DESTINATION_PORT),
        range(ports),
    ];
    let answers = [
        Step::Load(code::LOAD_BYTE, field::V6_PAYLOAD + field::TCP_FLAGS),
        Step::AnyBit(ANSWER),
    ];
    let icmp = vec![
        Step::Load(code::LOAD_BYTE, field::V6_PAYLOAD),
        Step::OneOf(ICMP_V6.to_vec()),
    ];
    let mut sections = vec![
        (Protocol::TCP.0, [&to_port[..], &answers].concat()),
        (Protocol::UDP.0, to_port.to_vec()),
        (Protocol::ICMPV6.0, icmp),
    ];
    sections.extend(EXTENSIONS.map(|header| (header, Vec::new())));
    program(field::V6_NEXT_HEADER, &sections)
}

/// ARP replies to us.
pub(crate) fn arp() -> Vec<Instruction> {
    let mut program = to(libc::PACKET_HOST);
    program.extend(section(&[
        Step::Load(code::LOAD_HALF, field::ARP_OPERATION),
        Step::Equal(2),
    ]));
    program
}

/// Neighbour advertisements to us, from this link (RFC 4861, 7.1.2).
pub(crate) fn advertisements() -> Vec<Instruction> {
    let advertisement = vec![
        Step::Load(code::LOAD_BYTE, field::V6_HOP_LIMIT),
        Step::Equal(255),
        Step::Load(code::LOAD_BYTE, field::V6_PAYLOAD),
        Step::Equal(ADVERTISEMENT),
    ];
    program(
        field::V6_NEXT_HEADER,
        &[(Protocol::ICMPV6.0, advertisement)],
    )
}

/// What shows a host of this link to who asked everyone: echo replies, parameter problems, and
/// neighbour advertisements (RFC 4443, 4.2 and 3.4; RFC 4861, 4.4).
pub(crate) fn found() -> Vec<Instruction> {
    let kinds = vec![
        Step::Load(code::LOAD_BYTE, field::V6_PAYLOAD),
        Step::OneOf(vec![129, 4, ADVERTISEMENT]),
    ];
    program(field::V6_NEXT_HEADER, &[(Protocol::ICMPV6.0, kinds)])
}

/// Reports of the groups that hosts of this link listen to, after the header that they are sent
/// with (RFC 3810, 5.2; RFC 2710, 3).
pub(crate) fn reports() -> Vec<Instruction> {
    let kinds = vec![
        Step::Load(code::LOAD_BYTE, field::V6_HOP_LIMIT),
        Step::Equal(1),
        Step::Load(code::LOAD_BYTE, field::V6_PAYLOAD),
        Step::Equal(Protocol::ICMPV6.0.into()),
        Step::Load(code::LOAD_BYTE, field::V6_PAYLOAD + SHORTEST_EXTENSION),
        Step::OneOf(REPORTS.map(u32::from).to_vec()),
    ];
    program_for(
        libc::PACKET_MULTICAST,
        field::V6_NEXT_HEADER,
        &[(Protocol::HOP_BY_HOP.0, kinds)],
    )
}

/// Nothing: for a socket that only sends.
pub(crate) fn nothing() -> Vec<Instruction> {
    vec![plain(code::RETURN, NOTHING)]
}

fn range(ports: &RangeInclusive<u16>) -> Step {
    Step::Range((*ports.start()).into(), (*ports.end()).into())
}

/// Packets of this kind that this machine did not send itself: the first instructions of a program.
fn to(kind: libc::c_uchar) -> Vec<Instruction> {
    vec![
        plain(code::LOAD_WORD, FACT_KIND),
        jump(code::JUMP_EQUAL, u32::from(kind), 1, 0),
        plain(code::RETURN, NOTHING),
        plain(code::LOAD_WORD, FACT_MARK),
        jump(code::JUMP_EQUAL, MARK, 0, 1),
        plain(code::RETURN, NOTHING),
    ]
}

/// A program that looks at the protocol and goes to its section.
fn program(protocol_at: u32, sections: &[(u8, Vec<Step>)]) -> Vec<Instruction> {
    program_for(libc::PACKET_HOST, protocol_at, sections)
}

/// The same for packets of another kind than those to this machine.
fn program_for(
    kind: libc::c_uchar,
    protocol_at: u32,
    sections: &[(u8, Vec<Step>)],
) -> Vec<Instruction> {
    let mut program = to(kind);
    for (protocol, steps) in sections {
        let section = section(steps);
        let past = u8::try_from(section.len()).expect("a section is short");
        program.push(plain(code::LOAD_BYTE, protocol_at));
        program.push(jump(code::JUMP_EQUAL, u32::from(*protocol), 0, past));
        program.extend(section);
    }
    program.push(plain(code::RETURN, NOTHING));
    program
}

/// Steps that all have to hold, and what to return then and else.
fn section(steps: &[Step]) -> Vec<Instruction> {
    let len_of = |step: &Step| match step {
        Step::Range(..) => 2,
        Step::OneOf(values) => values.len(),
        _ => 1,
    };
    let len: usize = steps.iter().map(len_of).sum();
    let mut code = Vec::with_capacity(len + 2);
    // Instructions between the one at `at` and the last, which rejects.
    let reject = |at: usize| u8::try_from(len - at).expect("a section is short");
    for step in steps {
        let at = code.len();
        match step {
            Step::Load(load, offset) => code.push(plain(*load, *offset)),
            Step::Equal(value) => code.push(jump(code::JUMP_EQUAL, *value, 0, reject(at))),
            Step::AnyBit(bits) => code.push(jump(code::JUMP_ANY_BIT, *bits, 0, reject(at))),
            Step::NoBit(bits) => code.push(jump(code::JUMP_ANY_BIT, *bits, reject(at), 0)),
            Step::Range(first, last) => {
                code.push(jump(code::JUMP_FROM, *first, 0, reject(at)));
                code.push(jump(code::JUMP_ABOVE, *last, reject(at + 1), 0));
            }
            Step::OneOf(values) => {
                for (place, value) in values.iter().enumerate() {
                    let left = values.len() - 1 - place;
                    let found = u8::try_from(left).expect("a list is short");
                    let is_last = left == 0;
                    let other = if is_last { reject(at + place) } else { 0 };
                    code.push(jump(code::JUMP_EQUAL, *value, found, other));
                }
            }
        }
    }
    code.push(plain(code::RETURN, WHOLE));
    code.push(plain(code::RETURN, NOTHING));
    code
}

const fn plain(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

const fn jump(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        k,
    }
}

#[cfg(test)]
mod tests;
