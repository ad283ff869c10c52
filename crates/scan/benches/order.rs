//! What the next target of a sweep costs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portolan_model::{PortSet, Target};
use portolan_scan::permutation::{Permutation, WidePermutation};
use portolan_scan::sweep::Space;

/// Targets in a row.
const ROW: u64 = 1024;

fn next_target(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("next");
    group.throughput(Throughput::Elements(ROW));
    let order = Permutation::new(1 << 48, 1).expect("2^48 is below the bound");
    group.bench_function("number of a scan's plan", |bencher| {
        bencher.iter(|| (0..ROW).fold(0, |sum, at| sum ^ order.at(black_box(at))));
    });
    for bits in [32, 48, 63, 64, 112] {
        let order = WidePermutation::new(1 << bits, 1);
        group.bench_function(format!("number of 2^{bits}"), |bencher| {
            bencher.iter(|| (0..ROW).fold(0, |sum, at| sum ^ order.at(black_box(at.into()))));
        });
    }
    for (name, target, ports) in [
        ("address and port of a /8", "10.0.0.0/8", "443"),
        (
            "address and port of a /8, 2 ports",
            "10.0.0.0/8",
            "443,8443",
        ),
        (
            "address and port of all IPv4, all ports",
            "0.0.0.0/0",
            "1-65535",
        ),
        ("address and port of an IPv6 /64", "2001:db8::/64", "443"),
    ] {
        let addresses = target.parse::<Target>().expect("a target").addresses();
        let ports: PortSet = ports.parse().expect("ports");
        let space = Space::new(addresses.expect("addresses"), &ports, 1, None).expect("a space");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                (0..ROW).fold(0, |sum, at| {
                    let endpoint = space.at(black_box(at.into()));
                    sum ^ endpoint.map_or(0, |endpoint| endpoint.port)
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, next_target);
criterion_main!(benches);
