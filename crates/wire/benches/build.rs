//! The hot path: building a SYN, and reading an answer.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of benches may panic on a bad fixture"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use portolan_wire::{
    EtherType, MacAddress, SeqNumber, SynPath, SynTemplate, checksum, ethernet, ipv4, tcp,
};

const SRC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SRC6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const DST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn header() -> ethernet::Repr {
    ethernet::Repr {
        destination: MacAddress([2, 0, 0, 0, 0, 2]),
        source: MacAddress([2, 0, 0, 0, 0, 1]),
        vlan: None,
        ether_type: EtherType::IPV4,
    }
}

fn template(src: IpAddr, ethernet: Option<ethernet::Repr>) -> SynTemplate {
    SynTemplate::new(&SynPath {
        ethernet,
        options: tcp::Options::linux_syn(1460, 1),
        ..SynPath::new(src)
    })
    .unwrap()
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("fill a SYN");
    for (name, template, dst) in [
        ("IPv4", template(SRC.into(), None), IpAddr::from(SRC)),
        (
            "Ethernet, IPv4",
            template(SRC.into(), Some(header())),
            SRC.into(),
        ),
        ("IPv6", template(SRC6.into(), None), DST6.into()),
        (
            "Ethernet, IPv6",
            template(SRC6.into(), Some(header())),
            DST6.into(),
        ),
    ] {
        let mut buffer = [0; 128];
        let mut sequence = 0u32;
        group.bench_function(name, |b| {
            b.iter(|| {
                sequence = sequence.wrapping_add(0x9e37_79b9);
                let port = (sequence >> 16) as u16;
                template
                    .fill(
                        black_box(&mut buffer),
                        black_box(dst),
                        port,
                        40_000,
                        SeqNumber(sequence),
                    )
                    .unwrap();
            });
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut frame = [0; 128];
    let template = template(SRC.into(), None);
    let dst = Ipv4Addr::new(192, 0, 2, 2).into();
    template
        .fill(&mut frame, dst, 443, 40_000, SeqNumber(7))
        .unwrap();
    let bytes = &frame[..template.len()];
    c.bench_function("read an answer, checksums verified", |b| {
        b.iter(|| {
            let packet = ipv4::Packet::new(black_box(bytes)).unwrap();
            let segment = tcp::Packet::new(packet.payload()).unwrap();
            (
                packet.verify(),
                segment.verify(&packet.addresses()),
                segment.flags(),
                segment.acknowledgment_number(),
            )
        });
    });
    let payload = [0xa5; 1500];
    c.bench_function("checksum of 1,500 bytes", |b| {
        b.iter(|| checksum::checksum(black_box(&payload)));
    });
}

criterion_group!(benches, build, read);
criterion_main!(benches);
