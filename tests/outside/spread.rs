//! Which of several processes gets which connection: makes the sockets, starts processes that listen on them, and connects
//! slowly, with connections that stay. Prints how many each has. An example only so that cargo builds it as a program.
//!
//! ```text
//! spread LAYOUT CONNECTIONS PER_SECOND [busy]
//! ```
//!
//! `each` is a socket for each process (`SO_REUSEPORT`), `one` the same for all, of which they take one connection at a
//! visit, `one-128` as many as a process of its own would. With `busy`, each process echoes on 16 other connections
//! meanwhile, without a pause.

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use workerman::testing::process::{Bound, Local, Which};
use workerman::{Tcp, Worker};

const PROCESSES: usize = 4;
const BUSY_CONNECTIONS: usize = 16;
/// Tells a process that it is one of those that listen, and how much it takes at a visit.
const BUDGET: &str = "SPREAD_BUDGET";
const ANYWHERE: &str = "tcp://127.0.0.1:0";

fn main() -> workerman::Result<()> {
    if let Ok(budget) = std::env::var(BUDGET) {
        return listen(budget.parse()?);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (layout, connections, rate, busy) = match arguments.as_slice() {
        [layout, connections, rate] => (layout.as_str(), connections.parse()?, rate.parse()?, false),
        [layout, connections, rate, busy] if busy == "busy" => {
            (layout.as_str(), connections.parse()?, rate.parse()?, true)
        }
        _ => return Err("usage: spread each|one|one-128 CONNECTIONS PER_SECOND [busy]".into()),
    };
    measure(layout, connections, rate, busy)
}

/// One of the processes: its listener is its standard input.
fn listen(budget: usize) -> workerman::Result<()> {
    let worker = Worker::<Tcp>::new(ANYWHERE);
    for which in Which::all() {
        which.adopt(vec![stdin().as_fd().try_clone_to_owned()?], budget);
    }
    worker.on_worker_stop(|worker| say(worker.connections().count()));
    let echo = Worker::<Tcp>::new(ANYWHERE);
    echo.on_message(|connection, bytes| connection.send(bytes));
    echo.on_worker_start(|echo| echo.local_addr().map(|address| say(address.port().into())).is_some());
    Worker::run_all()
}

fn say(number: usize) {
    // Nobody may listen any more.
    let _ = writeln!(stdout(), "{number}");
}

fn measure(layout: &str, connections: u32, rate: u32, busy: bool) -> workerman::Result<()> {
    let worker = Worker::<Tcp>::new(ANYWHERE);
    worker.set_reuse_port(layout == "each");
    let which = Which::all().pop().ok_or("there is a worker")?;
    let bound = Bound::new(which, PROCESSES)?.ok_or("it has an address")?;
    let Local::Tcp(address) = *bound.local() else { return Err("it is TCP".into()) };
    let budget = if layout == "one" { bound.budget(PROCESSES) } else { usize::MAX };
    let mut processes = Vec::new();
    for slot in 0..PROCESSES {
        processes.push(Process::start(&bound, slot, budget)?);
    }
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = processes.iter().filter(|_| busy).map(|process| keep_busy(process.port, &over)).collect();
    let clients = connect_slowly(address, connections, rate)?;
    thread::sleep(Duration::from_millis(300));
    over.store(true, Ordering::Relaxed);
    let echoed = load.into_iter().map(|thread| thread.join().unwrap_or_default()).sum::<u64>();
    let cpu: Vec<u64> = processes.iter().map(|process| cpu_time(process.child.id())).collect();
    let counts = processes.into_iter().map(Process::stop).collect::<workerman::Result<Vec<usize>>>()?;
    drop(clients);
    let (most, least) = (counts.iter().max().copied().unwrap_or(0), counts.iter().min().copied().unwrap_or(0));
    #[allow(clippy::cast_precision_loss)] // of thousands
    let ratio = most as f64 / least as f64;
    println!(
        "{layout} {connections} at {rate}/s, {}: {counts:?}, max/min {ratio:.2}, cpu {cpu:?} ms, {echoed} echoes",
        { if busy { "busy" } else { "idle" } }
    );
    Ok(())
}

struct Process {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Process {
    fn start(bound: &Bound, slot: usize, budget: usize) -> workerman::Result<Self> {
        let share = bound.share_of(slot, PROCESSES);
        let listener = share.first().ok_or("each has a socket")?.try_clone_to_owned()?;
        let mut child = Command::new(std::env::current_exe()?)
            .env(BUDGET, budget.to_string())
            .stdin(listener)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("a pipe")?);
        let mut process = Self { child, output, port: 0 };
        process.port = process.number()?.try_into()?;
        Ok(process)
    }

    fn number(&mut self) -> workerman::Result<usize> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// Answers how many connections it has.
    fn stop(mut self) -> workerman::Result<usize> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.number()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each in its time, one after another.
#[allow(clippy::disallowed_methods)] // the clock of the load
fn connect_slowly(address: SocketAddr, connections: u32, rate: u32) -> workerman::Result<Vec<TcpStream>> {
    let start = Instant::now();
    let connect = |number: u32| {
        let planned = Duration::from_secs(1) * number / rate;
        thread::sleep(planned.saturating_sub(start.elapsed()));
        TcpStream::connect(address)
    };
    Ok((0..connections).map(connect).collect::<std::io::Result<_>>()?)
}

/// Sends to all of a few connections, then hears from all of them, and so on; answers how often.
fn keep_busy(port: u16, over: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let over = Arc::clone(over);
    thread::spawn(move || {
        let connect = |_| TcpStream::connect(("127.0.0.1", port));
        let Ok(mut streams) = (0..BUSY_CONNECTIONS).map(connect).collect::<std::io::Result<Vec<_>>>() else { return 0 };
        let mut bytes = [b'x'; 64];
        let mut echoed = 0;
        while !over.load(Ordering::Relaxed) {
            let sent = streams.iter_mut().try_for_each(|stream| stream.write_all(&bytes));
            let heard = streams.iter_mut().try_for_each(|stream| stream.read_exact(&mut bytes));
            if sent.and(heard).is_err() {
                break;
            }
            echoed += streams.len() as u64;
        }
        echoed
    })
}

/// What the process has taken of the processors, in milliseconds.
fn cpu_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    10 * ticks.sum::<u64>()
}
