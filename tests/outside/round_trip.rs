//! Measures what a task costs there and back, an empty one after the other: processor time, and how often a thread had to wait.
//!
//! `cargo run --release --example round_trip`, and the same behind `taskset -c 0` for one core.

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use workerman::{Http, Task, Worker};

const ROUNDS: u32 = 200_000;

fn main() -> workerman::Result<()> {
    Worker::<Http>::new("").on_worker_start(|_| round(ROUNDS / 10, |_| round(ROUNDS, print)));
    Worker::run_all()
}

/// So many tasks, each given by the result of the one before; then what they have used.
fn round(rest: u32, then: impl FnOnce(&Usage) + Copy + 'static) {
    let before = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts");
    next(rest, move || then(&before));
}

fn next(rest: u32, then: impl FnOnce() + 'static) {
    let given = Task::run(|| (), move |_| if rest > 0 { next(rest - 1, then) } else { then() });
    given.expect("a thread is free");
}

fn print(before: &Usage) {
    let after = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts");
    let user = after.user_time().num_microseconds() - before.user_time().num_microseconds();
    let system = after.system_time().num_microseconds() - before.system_time().num_microseconds();
    let waits = after.voluntary_context_switches() - before.voluntary_context_switches();
    let of = |sum: i64| sum as f64 / f64::from(ROUNDS);
    println!(
        "{:.2} us of processor time ({:.2} user, {:.2} system), {:.2} waits",
        of(user + system),
        of(user),
        of(system),
        of(waits)
    );
    Worker::stop_all();
}
