//! A million timers: the program that is measured beside others, see `docs/performance.md`.
//!
//! `timers N SECS` adds `N` timers of 0 to 60 s, deletes half of them in random order, lets the loop run for `SECS`, and
//! prints one line of JSON. Times are processor time. A timer is a boxed closure besides its place in the wheel: what
//! the boxes alone cost, made and dropped in the same order, is told by `timers N boxes`, in a process of its own because
//! memory that was used before is slower.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use workerman::{Timer, TimerId, Worker};

fn main() -> workerman::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let what = arguments.next().unwrap_or_else(|| "10".to_owned());

    let mut random = Random(88_172_645_463_325_252);
    let delays: Vec<Duration> = (0..count).map(|_| Duration::from_millis(random.next() % 60_000)).collect();
    let mut order: Vec<usize> = (0..count).collect();
    for nth in (1..count).rev() {
        order.swap(nth, usize::try_from(random.next() % (nth as u64 + 1))?);
    }
    let (doomed, _) = order.split_at(count / 2);

    if what == "boxes" { boxes(count, doomed) } else { timers(&delays, doomed, what.parse()?) }
}

/// Nanoseconds of each.
fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count.max(1) as f64
}

fn timers(delays: &[Duration], doomed: &[usize], seconds: f64) -> workerman::Result<()> {
    let count = delays.len();
    let before = resident()?;
    let start = processor_time()?;
    let fired: &Cell<usize> = Box::leak(Box::default());
    let mut ids: Vec<TimerId> = Vec::with_capacity(count);
    ids.extend(delays.iter().map(|delay| Timer::delay(*delay, move || fired.set(fired.get() + 1))));
    let added = processor_time()?;
    let bytes = resident()?.saturating_sub(before);
    let between = processor_time()?;
    let deleted = doomed.iter().filter(|nth| ids.get(**nth).is_some_and(|id| Timer::del(*id))).count();
    let gone = processor_time()?;
    let ticking = tick(seconds)?;
    println!(
        "{{\"mode\":\"workerman-rust\",\"n\":{count},\"add_ns\":{:.1},\"del_ns\":{:.1},\"tick_cpu_ms_per_s\":{:.3},\
         \"fired\":{},\"fire_ns\":{:.0},\"bytes_timer\":{:.0},\"switches_per_s\":{:.0}}}",
        each(added - start, count),
        each(gone - between, deleted),
        ticking.processor.as_secs_f64() * 1e3 / seconds,
        fired.get(),
        each(ticking.processor, fired.get()),
        bytes as f64 / count as f64,
        ticking.switches as f64 / seconds,
    );
    Ok(())
}

/// What closures of the same size cost by themselves.
fn boxes(count: usize, doomed: &[usize]) -> workerman::Result<()> {
    type Boxed = Box<dyn FnMut(u64)>;

    let fired: &Cell<usize> = Box::leak(Box::default());
    let mut boxes: Vec<Option<Boxed>> = Vec::with_capacity(count);
    // The places of the boxes, which a timer has in the wheel, are there before.
    boxes.resize_with(count, || None);
    let before = resident()?;
    let start = processor_time()?;
    for place in &mut boxes {
        let mut callback = Some(move || fired.set(fired.get() + 1));
        *place = Some(Box::new(move |_| callback.take().into_iter().for_each(|callback| callback())));
    }
    let made = processor_time()?;
    let bytes = resident()?.saturating_sub(before);
    let between = processor_time()?;
    for nth in doomed {
        drop(boxes.get_mut(*nth).and_then(Option::take));
    }
    let gone = processor_time()?;
    println!(
        "{{\"mode\":\"boxes\",\"n\":{count},\"add_ns\":{:.1},\"del_ns\":{:.1},\"bytes\":{:.0}}}",
        each(made - start, count),
        each(gone - between, doomed.len()),
        bytes as f64 / count as f64,
    );
    Ok(())
}

struct Ticking {
    processor: Duration,
    switches: u64,
}

/// Lets the loop run for so long.
fn tick(seconds: f64) -> workerman::Result<Ticking> {
    let end: Rc<Cell<Option<Duration>>> = Rc::default();
    Timer::delay(seconds, {
        let end = Rc::clone(&end);
        move || {
            end.set(processor_time().ok());
            Worker::stop_all();
        }
    });
    let switches = voluntary_switches()?;
    let start = processor_time()?;
    Worker::run_all()?;
    let end = end.get().ok_or("the loop ended without the last timer")?;
    Ok(Ticking { processor: end - start, switches: voluntary_switches()? - switches })
}

fn processor_time() -> workerman::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Bytes of memory that are resident.
fn resident() -> workerman::Result<u64> {
    Ok(status("VmRSS:")? * 1024)
}

/// How often the process has gone to sleep.
fn voluntary_switches() -> workerman::Result<u64> {
    status("voluntary_ctxt_switches:")
}

fn status(name: &str) -> workerman::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line in /proc/self/status")?;
    Ok(line.split_whitespace().next().ok_or("a line without a number")?.parse()?)
}

/// Xorshift, with the seed that the other programs have: all see the same delays and the same order.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
