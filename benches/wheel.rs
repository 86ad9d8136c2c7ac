//! What timers take in the wheel, without closures and clocks: `cargo bench --bench wheel`.
//!
//! In random order removing is a matter of memory, so there is a small wheel, which lies in the processor's cache, and a
//! large one.

#![allow(missing_docs)] // criterion's macros make public functions

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use workerman::testing::bench::Timers;

/// Timers are spread over a minute of milliseconds.
const SPREAD: u64 = 60_000;

/// Xorshift: the same delays and the same order in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A wheel of so many timers, and their numbers in random order.
fn filled(delays: &[u64]) -> (Timers, Vec<u64>) {
    let mut timers = Timers::default();
    let mut numbers: Vec<u64> = delays.iter().map(|delay| timers.add(*delay)).collect();
    let mut random = Random(42);
    for (left, last) in (0..numbers.len()).rev().zip((1..=numbers.len() as u64).rev()) {
        numbers.swap(left, usize::try_from(random.below(last)).unwrap_or(left));
    }
    (timers, numbers)
}

fn wheel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for count in [1_000, 1_000_000] {
        let mut random = Random(88_172_645_463_325_252);
        let delays: Vec<u64> = (0..count).map(|_| 1 + random.below(SPREAD)).collect();
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("add", count), |bencher| {
            bencher.iter_batched(
                Timers::default,
                |mut timers| {
                    for delay in &delays {
                        timers.add(*delay);
                    }
                    timers
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("remove", count), |bencher| {
            bencher.iter_batched(
                || filled(&delays),
                |(mut timers, numbers)| {
                    let removed = numbers.iter().filter(|number| timers.remove(**number)).count();
                    assert_eq!(removed, numbers.len());
                    timers
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("tick by tick", count), |bencher| {
            bencher.iter_batched(
                || filled(&delays).0,
                |mut timers| {
                    let fired: usize = (1..=SPREAD).map(|now| timers.advance(now)).sum();
                    assert_eq!(fired as u64, count);
                    timers
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500));
    targets = wheel
}
criterion_main!(benches);
