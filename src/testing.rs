//! A loop in memory and in virtual time, for this crate's own tests; a public testing API comes later.
//!
//! A [`Simulation`] is the loop of its thread without descriptors: [`Peer`]s are clients without sockets, and time
//! passes only when told to. Panics in callbacks propagate, so an `assert!` in one fails the test.

pub mod bench;
pub mod fuzz;

use std::net::SocketAddr;
use std::time::Duration;

use crate::callback::{self, PanicPolicy};
use crate::client;
use crate::connection;
use crate::error::Error;
use crate::reactor::{self, Running, nanoseconds};
use crate::transport::{Transport, memory};
use crate::worker::{self, Worker, run, stop};

/// More turns than these without time passing are a loop that never comes to rest.
const TURNS: usize = 1000;

/// The loop of this thread, by hand.
#[derive(Debug)]
pub struct Simulation {
    running: Option<Running>,
    cleanup: Option<run::Cleanup>,
    next_port: std::cell::Cell<u16>,
}

impl Simulation {
    /// Takes the thread's loop in hand. Workers are made after this.
    pub fn new() -> Self {
        let reactor = reactor::get();
        reactor.clock.make_manual();
        reactor.random.make_seeded(0);
        callback::set_policy(PanicPolicy::Propagate);
        connection::install();
        Self { running: reactor.enter(), cleanup: Some(run::Cleanup), next_port: std::cell::Cell::new(50_000) }
    }

    /// Lets everything random follow from another seed than 0.
    pub fn set_seed(&self, seed: u64) {
        reactor::get().random.make_seeded(seed);
    }

    /// What `run_all` does first: listeners, then `on_worker_start`.
    ///
    /// # Errors
    ///
    /// Those of `run_all`.
    pub fn start(&self) -> Result<(), Error> {
        run::listen_all()?;
        run::start_all()
    }

    /// A new connection to a worker; its `on_connect` has run.
    pub fn connect<P>(&self, worker: Worker<P>) -> Peer {
        let (end, peer) = memory::pair(reactor::get().memory_events());
        let port = self.next_port.replace(self.next_port.get().wrapping_add(1));
        let remote = SocketAddr::from(([127, 0, 0, 1], port));
        if let Some(driver) = worker::driver(worker.key()) {
            worker::take_in(worker.key(), Transport::Memory(end), Some(remote), &driver);
        }
        reactor::get().settle();
        Peer(peer)
    }

    /// The other end of the next connection that a client of the app has made.
    pub fn accept(&self) -> Option<Peer> {
        client::take_offered().map(Peer)
    }

    /// One turn of the loop.
    pub fn turn(&self) {
        if let Err(error) = reactor::get().turn(false) {
            log::error!("{error}");
        }
    }

    /// How many events the system told of in the last turn.
    pub fn events(&self) -> usize {
        reactor::get().last_events()
    }

    /// Turns until nothing is left to do without time passing.
    ///
    /// # Panics
    ///
    /// If that never comes about: a loop that does not rest would spin on a real machine.
    pub fn run(&self) {
        for _ in 0..TURNS {
            self.turn();
            if !reactor::get().has_work() {
                return;
            }
        }
        panic!("the loop does not come to rest");
    }

    /// Lets time pass, from one due timer to the next, and does everything that is to do on the way.
    pub fn advance(&self, time: Duration) {
        let clock = &reactor::get().clock;
        let end = clock.now().saturating_add(nanoseconds(time));
        loop {
            self.run();
            let rest = end - clock.now();
            match reactor::get().until_next_timer() {
                Some(next) if next <= rest && next > 0 => clock.advance(next),
                _ => break clock.advance(rest),
            }
        }
        self.run();
    }

    /// Lets time pass while the loop does nothing, as when a callback blocks it.
    pub fn stall(&self, time: Duration) {
        reactor::get().clock.advance(nanoseconds(time));
    }

    /// How long the loop would sleep if nothing came from outside: zero when there is something to do, `None` for ever.
    pub fn next_wake_up(&self) -> Option<Duration> {
        if reactor::get().has_work() {
            return Some(Duration::ZERO);
        }
        reactor::get().until_next_timer().map(Duration::from_nanos)
    }

    /// Whether the app has asked the loop to stop.
    pub fn is_stopping(&self) -> bool {
        reactor::get().is_stopping()
    }

    /// A signal that stops a process has come.
    pub fn signal(&self, signal: i32) {
        stop::by_signal(signal);
        reactor::get().settle();
    }

    /// What `run_all` does once it is to stop: nobody comes in, `on_worker_stop`, connections begin to leave.
    pub fn begin_stop(&self) {
        if let Err(error) = stop::begin() {
            log::error!("{error}");
        }
    }

    /// Whether `run_all` would return now.
    pub fn has_stopped(&self) -> bool {
        !stop::goes_on()
    }

    /// All that `run_all` does at its end, while time passes.
    pub fn stop(self) {
        if !stop::has_begun() {
            self.begin_stop();
        }
        while !self.has_stopped() {
            self.turn();
            // Nobody else lets time pass now: a millisecond a turn.
            reactor::get().clock.advance(1_000_000);
        }
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // While a test fails, a second panic would hide the first.
        callback::set_policy(PanicPolicy::CloseConnection);
        self.cleanup = None;
        self.running = None;
    }
}

/// The client's end of a connection in memory.
#[derive(Debug)]
pub struct Peer(memory::Peer);

impl Peer {
    /// Sends bytes.
    pub fn write(&self, bytes: impl AsRef<[u8]>) {
        self.0.write(bytes.as_ref());
    }

    /// Everything that has come and was not read yet.
    pub fn read(&self) -> Vec<u8> {
        self.0.read(usize::MAX)
    }

    /// At most so many bytes of what has come.
    pub fn read_at_most(&self, bytes: usize) -> Vec<u8> {
        self.0.read(bytes)
    }

    /// Everything that has come, as text.
    pub fn read_text(&self) -> String {
        String::from_utf8_lossy(&self.read()).into_owned()
    }

    /// Sends FIN: nothing more will come from here.
    pub fn finish(&self) {
        self.0.finish();
    }

    /// Breaks the connection.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Lets bytes arrive in segments of this size, each in an event of its own.
    pub fn set_segment(&self, bytes: usize) {
        self.0.set_segment(bytes);
    }

    /// Sets how many bytes the server may send before this end reads some.
    pub fn set_window(&self, bytes: usize) {
        self.0.set_window(bytes);
    }

    /// Sets how many bytes one write of the server takes at most.
    pub fn set_write_limit(&self, bytes: usize) {
        self.0.set_write_limit(bytes);
    }

    /// Whether the server has sent FIN or closed.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The parts of the process model, for tests that look at each alone.
pub mod process {
    pub use crate::callback::{Look, Pulse, Site, last_failure, pulse, set_last_words};
    pub use crate::process::{
        EVENT_LOOP, Holder, Inherited, ListenFd, LogFile, Notifier, PidFile, PidFileError, Settings, Watchdog, claim,
        close_unclaimed, connection_status, inherited_sockets, listen_fds, load_average, log_line, process_status,
        program, program_name, screens, spawn_watchdog, usual_pid_file, versions, watchdog_limit, worker_rows,
    };
    pub use crate::transport::Layout;
    pub use crate::worker::{Bound, Local, Which};
}
