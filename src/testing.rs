//! A loop in memory and in virtual time, for this crate's own tests; a public testing API comes later.
//!
//! A [`Simulation`] is the loop of its thread without descriptors: [`Peer`]s are clients without sockets, and time
//! passes only when told to. Panics in callbacks propagate, so an `assert!` in one fails the test.

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

/// The door for fuzzing: the HTTP codec without a connection, its forms, event streams as a client reads them, and what is
/// weighed before a file is sent.
pub mod fuzz {
    use crate::protocols::http::client::{Answers, End, Expected, HEAD_MOST, Outgoing};
    pub use crate::protocols::http::conditional::{Conditions, Outcome as Weighed, Validators};
    pub use crate::protocols::http::event_stream::{EventStream, MessageEvent, TooLarge};
    pub use crate::protocols::http::form::Form;
    pub use crate::protocols::http::multipart::{Boundary, Decoder, Error, Event, PartHead};
    pub use crate::protocols::http::range::Selection;
    pub use crate::protocols::http::uploads::Uploads;
    use crate::protocols::http::{ClientResponse, Http, Request, UploadedFile};
    use crate::protocols::output::{Outbound, Output};
    use crate::protocols::{Codec as _, Encode as _, Limits, Step};

    /// What became of some bytes.
    #[derive(Debug, Default, PartialEq)]
    pub struct Outcome {
        /// The requests that were delivered.
        pub requests: Vec<Request>,
        /// What came of bodies in pieces.
        pub pieces: Vec<u8>,
        /// The status line of the refusal at the end, if there is one.
        pub refused: Option<String>,
        /// Bytes that the codec is done with.
        pub consumed: usize,
    }

    /// What the app does with bodies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Bodies {
        /// It receives whole requests.
        Whole,
        /// It is told of heads, and receives whole requests.
        Told,
        /// It is told of heads, and takes the bodies in pieces.
        InPieces,
    }

    /// Feeds pieces as a connection does: what was not consumed comes again, and a codec at rest is packed in between.
    pub fn receive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_package_size: usize) -> Outcome {
        receive_bodies(pieces, max_package_size, Bodies::Whole)
    }

    /// The same, for an app that does something else with bodies.
    pub fn receive_bodies<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
        max_package_size: usize,
        bodies: Bodies,
    ) -> Outcome {
        let limits = Limits { tell_heads: bodies != Bodies::Whole, ..Limits::of_size(max_package_size) };
        let (mut outcome, mut codec, mut waiting) = (Outcome::default(), Http::default(), Vec::new());
        for piece in pieces {
            waiting.extend_from_slice(piece);
            let mut done = 0;
            while let Some(rest) = waiting.get(done..).filter(|rest| !rest.is_empty()) {
                let mut queue = Outbound::default();
                let mut output = Output::new(&mut queue, &[b' '; 29], 0);
                let mut step = codec.receive(rest, &limits, &mut output);
                if let Step::Head { consumed, message } = step {
                    step = match codec.go_on(message, bodies == Bodies::InPieces, &mut output) {
                        Some(reason) => Step::Refused(reason),
                        None => {
                            done += consumed;
                            continue;
                        }
                    };
                }
                match step {
                    Step::Message { consumed, message } => {
                        done += consumed;
                        outcome.requests.push(message);
                    }
                    Step::Piece { consumed, start, length } => {
                        let piece = rest.get(start as usize..).and_then(|piece| piece.get(..length as usize));
                        outcome.pieces.extend_from_slice(piece.unwrap_or_default());
                        done += consumed;
                    }
                    Step::More { consumed } => {
                        done += consumed;
                        break;
                    }
                    Step::Head { .. } | Step::Part { .. } | Step::Refused(_) | Step::Failed(_) => {
                        let answer = String::from_utf8_lossy(queue.as_single().unwrap_or_default()).into_owned();
                        outcome.refused = Some(answer.lines().next().unwrap_or_default().to_owned());
                        return outcome;
                    }
                }
            }
            outcome.consumed += done;
            waiting.drain(..done);
            codec = codec.park().map_or_else(|codec| codec, Http::unpark);
        }
        outcome
    }

    /// What a client has asked for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Asked {
        /// For a head without a body.
        pub head_only: bool,
        /// For a body in pieces.
        pub in_pieces: bool,
        /// For a body of so many bytes at most.
        pub max_body: usize,
    }

    /// What came of a server's bytes.
    #[derive(Debug, Default, PartialEq)]
    pub struct Answered {
        /// The answer. Of one in pieces, the head.
        pub response: Option<ClientResponse>,
        /// What came in pieces.
        pub pieces: Vec<u8>,
        /// How long the longest was.
        pub longest: usize,
        /// Whether it was complete, and whether the connection can be used again.
        pub complete: Option<bool>,
        /// Why it is no answer.
        pub failed: Option<String>,
    }

    /// Feeds a client's codec as a connection does, which has asked once. In the end the server `closes`, or has not yet.
    pub fn answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, asked: Asked, closes: bool) -> Answered {
        let Asked { head_only, in_pieces, max_body } = asked;
        let expected = Expected { head_only, in_pieces, decodes: true, max_head: HEAD_MOST, max_body };
        let (mut codec, mut waiting, mut queue) = (Answers::default(), Vec::new(), Outbound::default());
        let mut output = Output::new(&mut queue, &[b' '; 29], 0);
        codec.encode(Outgoing { head: Vec::new(), body: None, expected }, &mut output);
        let mut answered = Answered::default();
        for piece in pieces {
            waiting.extend_from_slice(piece);
            let mut done = 0;
            while let Some(rest) = waiting.get(done..).filter(|rest| !rest.is_empty()) {
                let step = codec.receive(rest, &Limits::of_size(0), &mut output);
                let (consumed, event) = match step {
                    Step::Message { consumed, message } => (consumed, Some(message)),
                    Step::More { consumed } => (consumed, None),
                    _ => return answered,
                };
                done += consumed;
                let Some(event) = event else { break };
                answered.take(event);
                if answered.failed.is_some() {
                    return answered;
                }
            }
            waiting.drain(..done);
        }
        if closes && let Some(event) = codec.close(true) {
            answered.take(event);
        }
        answered
    }

    impl Answered {
        fn take(&mut self, event: crate::protocols::http::client::Event) {
            if let Some(mut response) = event.response {
                response.set_trailers(event.trailers);
                self.response = Some(response);
            } else if let Some(response) = &mut self.response {
                response.set_trailers(event.trailers);
            }
            self.longest = self.longest.max(event.piece.len());
            self.pieces.extend(event.piece);
            match event.end {
                End::Not => {}
                End::Reusable => self.complete = Some(true),
                End::Last => self.complete = Some(false),
                // Whoever goes on talking has said all that was asked for.
                End::Failed(_) if self.complete.is_some() => self.complete = Some(false),
                End::Failed(fault) => self.failed = Some(format!("{fault:?}")),
            }
        }
    }

    /// A file as it comes out of a form.
    ///
    /// # Panics
    ///
    /// If no form can hold it.
    pub fn uploaded(path: &str, content_type: &str, contents: &[u8]) -> UploadedFile {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{path}\"\r\n\
             Content-Type: {content_type}\r\n\r\n"
        );
        let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=b").ok().flatten();
        let mut form = Form::new(&boundary.expect("a boundary"), Uploads::default());
        form.append(&[head.as_bytes(), contents, b"\r\n--b--\r\n"].concat()).expect("a form");
        form.files.pop().expect("a file").1
    }
}

/// The door for benches: the HTTP codec without a connection, and the timer wheel without a clock.
pub mod bench {
    use crate::protocols::http::{Http, Request};
    use crate::protocols::output::{Outbound, Output};
    use crate::protocols::{self, Codec as _, Encode, Encoded, Limits, Step};
    use crate::reactor::{Key, Wheel};

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const LIMITS: Limits = Limits::of_size(10 << 20);

    /// The server's end of a connection, as far as the codec knows it.
    #[derive(Debug)]
    pub struct Conversation {
        codec: Http,
        queue: Outbound,
        ticket: u32,
    }

    impl Default for Conversation {
        fn default() -> Self {
            // As on the thread of a loop.
            protocols::open(|_| {});
            Self { codec: Http::default(), queue: Outbound::default(), ticket: 0 }
        }
    }

    impl Conversation {
        /// Decodes one request, if the bytes are a whole one.
        pub fn receive(&mut self, bytes: &[u8]) -> Option<Request> {
            let step = self.codec.receive(bytes, &LIMITS, &mut Output::new(&mut self.queue, DATE, 0));
            self.ticket = self.codec.ticket();
            if let Step::Message { message, .. } = step { Some(message) } else { None }
        }

        /// Encodes a message and lets it leave; answers how long it was, 0 for one that has no place here.
        pub fn send<M>(&mut self, message: M) -> usize
        where
            Http: Encode<M>,
        {
            let encoded = self.codec.encode(message, &mut Output::new(&mut self.queue, DATE, self.ticket));
            let length = self.queue.len();
            self.queue.reset();
            if encoded == Encoded::Done { length } else { 0 }
        }
    }

    /// A wheel of values that are as large as a timer.
    #[derive(Debug, Default)]
    pub struct Timers(Wheel<[u64; 4]>);

    impl Timers {
        /// Adds a timer that is due at a tick; answers its number.
        pub fn add(&mut self, due: u64) -> u64 {
            self.0.insert(due, [due; 4]).map_or(0, Key::number)
        }

        /// Ends a timer; answers whether there was one.
        pub fn remove(&mut self, number: u64) -> bool {
            Key::from_number(number).and_then(|key| self.0.remove(key)).is_some()
        }

        /// Goes on to a tick; answers how many timers were due, which are gone.
        pub fn advance(&mut self, now: u64) -> usize {
            self.0.advance(now);
            std::iter::from_fn(|| self.0.pop_expired().and_then(|key| self.0.remove(key))).count()
        }
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
