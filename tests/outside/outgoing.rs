//! What connections that the app makes itself cost: the client of a server on this machine, for `benches/beside/run.py`. Prints
//! one line of JSON about itself. An example only so that cargo builds it as a program.
//!
//! ```text
//! WHAT=requests    PORT=... COUNT=64    SECONDS=2      so many requests for /plaintext at a time, without a pause
//! WHAT=connections PORT=... COUNT=10000 PER_TICK=20    so many connections, of which some are begun in each millisecond:
//!                                                      each says a word and hears it again
//!      ALIKE=1                                         with callbacks that all share, instead of each its own
//! ```

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use workerman::{AsyncTcpConnection, HttpClient, Tcp, Text, Timer, Worker};

const WARM_UP: f64 = 0.5;
/// So long connections stand without anything to do.
const REST: f64 = 3.0;
const TICK: Duration = Duration::from_millis(1);

fn main() -> workerman::Result<()> {
    let (port, count) = (variable("PORT")?, variable("COUNT")?);
    let worker = Worker::<Text>::new("");
    match std::env::var("WHAT")?.as_str() {
        "requests" => {
            let seconds = variable("SECONDS")?;
            worker.on_worker_start(move |_| requests(port, count, seconds));
        }
        _ => {
            let (per_tick, alike) = (variable("PER_TICK")?, std::env::var_os("ALIKE").is_some());
            let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
            worker.on_worker_start(move |_| Connections::begin(port, count, per_tick, alike));
        }
    }
    Worker::run_all()
}

/// The words of its command line are the framework's.
fn variable<T: FromStr>(name: &str) -> workerman::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    Ok(std::env::var(name)?.parse()?)
}

fn requests(port: u16, in_flight: usize, seconds: f64) {
    let (url, count) = (Rc::<str>::from(format!("http://127.0.0.1:{port}/plaintext")), Rc::new(Cell::new(0_u64)));
    for _ in 0..in_flight {
        ask(&url, &count);
    }
    Timer::delay(WARM_UP, move || {
        let (began, before, first) = (now(), taken(), count.get());
        Timer::delay(seconds, move || {
            let (took, cpu) = (began.elapsed().as_secs_f64(), (taken() - before) as f64);
            let count = count.get() - first;
            println!(
                "{{\"count\":{count},\"cpu_us\":{:.3},\"per_second\":{:.0},\"busy\":{:.3}}}",
                cpu / 1e3 / count as f64,
                count as f64 / took,
                cpu / 1e9 / took,
            );
            Worker::stop_all();
        });
    });
}

/// Asks, and asks again when the answer has come.
fn ask(url: &Rc<str>, count: &Rc<Cell<u64>>) {
    let (again, counted) = (Rc::clone(url), Rc::clone(count));
    HttpClient::new().get(url, move |answer| {
        match answer {
            Ok(answer) if answer.text() == "Hello, World!" => {
                counted.set(counted.get() + 1);
                ask(&again, &counted);
            }
            answer => fail(&format!("{answer:?}")),
        };
    });
}

struct Connections {
    address: String,
    wanted: usize,
    begun: Cell<usize>,
    heard: Cell<usize>,
    /// When the last tick was, and how late each came, in microseconds.
    tick: Cell<Instant>,
    late: Cell<Vec<u128>>,
    /// Resident memory at the start, in KiB, and time on the processor.
    rss: u64,
    cpu: u64,
}

impl Connections {
    fn begin(port: u16, wanted: usize, per_tick: usize, alike: bool) {
        let all = Rc::new(Self {
            address: format!("tcp://127.0.0.1:{port}"),
            wanted,
            begun: Cell::new(0),
            heard: Cell::new(0),
            tick: Cell::new(now()),
            late: Cell::default(),
            rss: resident(),
            cpu: taken(),
        });
        let first = alike.then(|| all.client());
        Timer::add(TICK, move || all.tick(per_tick, first));
    }

    fn tick(self: &Rc<Self>, per_tick: usize, first: Option<AsyncTcpConnection<Tcp>>) {
        let late = self.tick.replace(now()).elapsed().saturating_sub(TICK).as_micros();
        let mut all = self.late.take();
        all.push(late);
        self.late.set(all);
        for _ in 0..per_tick.min(self.wanted - self.begun.get()) {
            self.begun.set(self.begun.get() + 1);
            let client = first.map_or_else(|| self.client(), |first| first.another(&self.address));
            client.send("x");
            client.connect();
        }
    }

    fn client(self: &Rc<Self>) -> AsyncTcpConnection<Tcp> {
        let client = AsyncTcpConnection::<Tcp>::new(&self.address);
        let all = Rc::clone(self);
        client.on_message(move |_, _| all.hear());
        client.on_error(|_, _, text| fail(text));
        client
    }

    fn hear(self: &Rc<Self>) {
        self.heard.set(self.heard.get() + 1);
        if self.heard.get() == self.wanted {
            let (all, cpu) = (Rc::clone(self), taken() - self.cpu);
            Timer::delay(REST, move || all.tell(cpu));
        }
    }

    fn tell(&self, cpu: u64) {
        let mut late = self.late.take();
        late.sort_unstable();
        let at = |share: usize| late.get(late.len() * share / 100).or(late.last()).copied().unwrap_or_default();
        let bytes = (resident() - self.rss) * 1024 / self.wanted as u64;
        println!(
            "{{\"count\":{},\"bytes\":{bytes},\"cpu_us\":{:.3},\"late_p50_us\":{},\"late_p99_us\":{},\"late_most_us\":{}}}",
            self.wanted,
            cpu as f64 / 1e3 / self.wanted as f64,
            at(50),
            at(99),
            at(100),
        );
        Worker::stop_all();
    }
}

fn fail(why: &str) {
    eprintln!("{why}");
    std::process::exit(1);
}

#[allow(clippy::disallowed_methods)] // it measures the loop, so it needs a clock of its own
fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds on the processor, all threads together.
fn taken() -> u64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    texts.filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
