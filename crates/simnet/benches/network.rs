//! What a scan of the simulated network costs by itself.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portolan_wire::{SeqNumber, SynPath, SynTemplate};
use simnet::{Hosts, Medium, Network, Path, Scenario};

const SELF: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Every port of a host, 10 µs apart; the number of answers.
fn scan(network: &mut Network, template: &SynTemplate) -> u32 {
    let mut frame = [0; 128];
    let mut answers = 0;
    for port in 0..=u16::MAX {
        let now = Duration::from_micros(u64::from(port) * 10);
        template
            .fill(&mut frame, HOST.into(), port, 40_000, SeqNumber(7))
            .expect("the buffer is long enough");
        network.inject(now, &frame[..template.len()]);
        network.poll(now, &mut |_, answer| {
            black_box(answer);
            answers += 1;
        });
    }
    network.poll(Duration::from_secs(2), &mut |_, _| answers += 1);
    answers
}

fn bench(c: &mut Criterion) {
    let template = SynTemplate::new(&SynPath::new(SELF.into())).expect("the path is plain");
    let mut path = Path::rtt_ms(40.0).loss(0.01);
    path.jitter_ms = 5.0;
    let mut hosts = Hosts::at(HOST);
    hosts.tcp.open_share = 0.001;
    let scenario = Scenario::new(1, path, vec![hosts]);
    let mut group = c.benchmark_group("a whole scan");
    group.sample_size(10);
    group.bench_function("65,536 ports, 40 ms, 1 % loss", |b| {
        b.iter_batched_ref(
            || Network::new(&scenario),
            |network| scan(network, &template),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
