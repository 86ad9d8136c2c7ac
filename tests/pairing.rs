//! The promise: every `on_connect` is followed by exactly one `on_close`, whatever ends the connection, and there its id,
//! addresses and data can still be read.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use support::{Log, boom, get};
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, Encode, Http, PanicPolicy, Request, SendStatus, Status, Tcp, TcpConnection, Worker};

/// What a connection is known by in `on_connect`, and must be known by in `on_close`.
#[derive(Clone, Debug, PartialEq)]
struct Identity {
    id: u64,
    remote: String,
    port: u16,
}

impl Identity {
    fn of<P: Codec>(connection: TcpConnection<P>) -> Self {
        Self { id: connection.id(), remote: connection.remote_address(), port: connection.remote_port() }
    }
}

/// Who has come and gone, and what was wrong about it: asserts in callbacks may be swallowed by the panic policy.
#[derive(Clone, Default)]
struct Book {
    came: Log,
    went: Log,
    wrong: Log,
}

impl Book {
    fn opened<P: Codec>(&self, connection: TcpConnection<P>) {
        let identity = Identity::of(connection);
        let name = format!("{identity:?}");
        self.check(connection.status() == Status::Established, "not established in on_connect");
        self.check(identity.id >= 1 && identity.id < 1 << 53, "an id out of range");
        self.check(self.came.count(&name) == 0, "an id used again");
        self.came.add(name);
        connection.set(identity);
    }

    fn closed<P: Codec + Encode<&'static str>>(&self, connection: TcpConnection<P>) {
        let identity = Identity::of(connection);
        let name = format!("{identity:?}");
        self.check(connection.status() == Status::Closed, "not closed in on_close");
        self.check(connection.get() == Some(identity.clone()), "data or identity is lost in on_close");
        self.check(!identity.remote.is_empty() && identity.port > 0, "no address in on_close");
        self.check(identity.remote == format!("{}:{}", connection.remote_ip(), identity.port), "an address in pieces");
        self.check(connection.send("late") == SendStatus::Closed, "a send that is not refused in on_close");
        self.check(TcpConnection::<P>::find(identity.id) == Some(connection), "not found by its id in on_close");
        self.check(self.came.count(&name) == 1, "an on_close without its on_connect");
        self.check(self.went.count(&name) == 0, "a second on_close");
        self.went.add(name);
    }

    fn check(&self, holds: bool, wrong: &str) {
        if !holds {
            self.wrong.add(wrong);
        }
    }

    /// All have gone, and nothing was wrong.
    fn is_even(&self, connections: usize) {
        assert_eq!(self.wrong.take(), [""; 0]);
        assert_eq!((self.came.len(), self.went.len()), (connections, connections));
    }
}

/// A worker that keeps a book of its connections. Failures cost a connection.
fn kept<P: Codec + Encode<&'static str>>(book: &Book) -> Worker<P> {
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<P>::new("");
    let opened = book.clone();
    worker.on_connect(move |connection| opened.opened(connection));
    let closed = book.clone();
    worker.on_close(move |connection| closed.closed(connection));
    worker
}

fn ended_by(end: impl FnOnce(&Simulation, Worker<Tcp>, &Peer)) {
    let sim = Simulation::new();
    let book = Book::default();
    let worker = kept::<Tcp>(&book);
    let peer = sim.connect(worker);
    assert_eq!((book.came.len(), book.went.len()), (1, 0));
    end(&sim, worker, &peer);
    sim.run();
    book.is_even(1);
    assert!(peer.is_closed());
    assert_eq!(worker.connections().count(), 0);
    sim.advance(Duration::from_secs(100));
    sim.stop();
    book.is_even(1);
}

fn each(worker: Worker<Tcp>, end: impl Fn(TcpConnection<Tcp>)) {
    worker.connections().for_each(end);
}

#[test]
fn close_destroy_and_close_with() {
    ended_by(|_, worker, _| each(worker, TcpConnection::close));
    ended_by(|_, worker, _| each(worker, TcpConnection::destroy));
    ended_by(|_, worker, _| each(worker, |connection| connection.close_with("bye")));
}

#[test]
fn ended_twice_and_in_every_combination() {
    let ways: [fn(TcpConnection<Tcp>); 3] =
        [TcpConnection::close, TcpConnection::destroy, |connection| connection.close_with("bye")];
    for first in ways {
        for second in ways {
            ended_by(|_, worker, _| {
                each(worker, |connection| {
                    first(connection);
                    second(connection);
                });
            });
            ended_by(|sim, worker, _| {
                let connection = worker.connections().next().unwrap();
                first(connection);
                sim.run();
                second(connection);
            });
            ended_by(|sim, worker, peer| {
                peer.set_window(2);
                each(worker, |connection| {
                    connection.send("more than fits");
                    first(connection);
                    second(connection);
                });
                sim.run();
                peer.set_window(usize::MAX);
            });
        }
    }
}

#[test]
fn fin_and_reset_of_the_peer() {
    ended_by(|_, _, peer| peer.finish());
    ended_by(|_, _, peer| peer.reset());
    ended_by(|_, _, peer| {
        peer.write("data");
        peer.finish();
        peer.reset();
    });
    ended_by(|_, worker, peer| {
        peer.finish();
        each(worker, TcpConnection::close);
    });
    ended_by(|_, worker, peer| {
        peer.reset();
        each(worker, |connection| {
            connection.send("x");
            connection.destroy();
        });
    });
}

#[test]
fn ended_while_bytes_wait() {
    ended_by(|sim, worker, peer| {
        peer.set_window(3);
        each(worker, |connection| connection.close_with("more than fits"));
        sim.run();
        assert!(!peer.is_closed());
        peer.reset();
    });
    ended_by(|sim, worker, peer| {
        peer.set_window(3);
        each(worker, |connection| {
            connection.send("more than fits");
            connection.close();
        });
        sim.run();
        peer.finish();
        sim.run();
        peer.set_window(100);
        sim.run();
        assert_eq!(peer.read_text(), "more than fits");
    });
}

#[test]
fn ended_in_on_connect() {
    for (nth, sent) in [(0, ""), (1, ""), (2, "bye"), (3, ""), (4, "")] {
        let sim = Simulation::new();
        let book = Book::default();
        let worker = kept::<Tcp>(&book);
        let opened = book.clone();
        worker.on_connect(move |connection| -> workerman::Result<()> {
            opened.opened(connection);
            match nth {
                0 => connection.close(),
                1 => connection.destroy(),
                2 => connection.close_with("bye"),
                3 => boom(),
                _ => return Err("refused".into()),
            }
            Ok(())
        });
        worker.on_message(|_, _| support::never());
        let peer = sim.connect(worker);
        book.is_even(1);
        peer.write("nobody listens");
        sim.run();
        book.is_even(1);
        assert!(peer.is_closed());
        assert_eq!(peer.read_text(), sent);
    }
}

#[test]
fn ended_again_in_on_close() {
    for nth in 0..5 {
        let sim = Simulation::new();
        let book = Book::default();
        let worker = kept::<Tcp>(&book);
        let closed = book.clone();
        worker.on_close(move |connection| {
            closed.closed(connection);
            match nth {
                0 => connection.destroy(),
                1 => connection.close(),
                2 => connection.close_with("bye"),
                3 => boom(),
                _ => worker.connections().for_each(TcpConnection::destroy),
            }
        });
        let peers = [sim.connect(worker), sim.connect(worker)];
        peers.iter().for_each(Peer::finish);
        sim.run();
        book.is_even(2);
        assert_eq!(worker.connections().count(), 0);
    }
}

#[test]
fn a_panic_or_an_error_in_each_callback() {
    for fails in ["message", "full", "drain", "error", "close", "timer", "nothing"] {
        for panics in [true, false] {
            let sim = Simulation::new();
            let book = Book::default();
            let worker = kept::<Tcp>(&book);
            let fail = move |name: &str| -> workerman::Result<()> {
                if name != fails {
                    return Ok(());
                }
                if panics {
                    boom();
                }
                Err("boom".into())
            };
            let closed = book.clone();
            worker.on_message(move |_, _| fail("message"));
            worker.on_buffer_full(move |_| fail("full"));
            worker.on_buffer_drain(move |_| fail("drain"));
            worker.on_error(move |_, _, _| fail("error"));
            worker.on_close(move |connection| {
                closed.closed(connection);
                fail("close")
            });
            let (peer, other) = (sim.connect(worker), sim.connect(worker));
            let connection = worker.connections().next().unwrap();
            connection.add_timer(1, move || fail("timer"));
            connection.set_max_send_buffer_size(4);
            peer.write("x");
            sim.run();
            peer.set_window(2);
            connection.send("12345678");
            connection.send("dropped");
            sim.run();
            peer.set_window(usize::MAX);
            sim.advance(Duration::from_secs(1));
            assert_eq!(peer.is_closed(), fails != "close" && fails != "nothing", "{fails}");
            peer.finish();
            sim.run();
            assert!(peer.is_closed() && !other.is_closed());
            other.finish();
            sim.run();
            book.is_even(2);
        }
    }
}

#[test]
fn a_refused_request() {
    for wire in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/9.9\r\nHost: h\r\n\r\n"] {
        let sim = Simulation::new();
        let book = Book::default();
        let worker = kept::<Http>(&book);
        worker.on_message(|_, _| support::never());
        let (patient, hasty) = (sim.connect(worker), sim.connect(worker));
        patient.write(wire);
        hasty.write(wire);
        sim.run();
        assert!(patient.read_text().starts_with("HTTP/1.1 "), "{wire}");
        hasty.finish();
        sim.run();
        assert_eq!((patient.is_closed(), hasty.is_closed(), book.went.len()), (false, true, 1));
        sim.advance(Duration::from_secs(2));
        assert!(patient.is_closed());
        book.is_even(2);
    }
}

#[test]
fn the_app_stops() {
    let sim = Simulation::new();
    let book = Book::default();
    let worker = kept::<Tcp>(&book);
    let peers: Vec<Peer> = (0..10).map(|_| sim.connect(worker)).collect();
    // Some are on their way out already, some cannot be.
    for (nth, (connection, peer)) in worker.connections().zip(&peers).enumerate() {
        peer.set_window(3);
        match nth % 5 {
            0 => connection.close_with("more than fits"),
            1 => drop(connection.send("more than fits")),
            2 => connection.pause_recv(),
            3 => peer.finish(),
            _ => {}
        }
    }
    let stopped = book.clone();
    worker.on_worker_stop(move |worker| {
        stopped.check(worker.connections().count() > 0, "connections have gone before on_worker_stop");
    });
    sim.stop();
    book.is_even(10);
    assert!(peers.iter().all(Peer::is_closed));
}

#[test]
fn the_app_stops_with_more_slow_peers_than_events_are_delivered_at_once() {
    const MANY: usize = 10_500;
    let sim = Simulation::new();
    let closed = Rc::new(Cell::new(0));
    let worker = Worker::<Tcp>::new("");
    worker.on_close({
        let closed = Rc::clone(&closed);
        move |_| closed.set(closed.get() + 1)
    });
    let peers: Vec<Peer> = (0..MANY)
        .map(|_| {
            let peer = sim.connect(worker);
            peer.set_window(0);
            sim.turn();
            peer
        })
        .collect();
    worker.connections().for_each(|connection| assert_eq!(connection.send("waits"), SendStatus::Queued));
    sim.stop();
    assert_eq!((closed.get(), peers.iter().filter(|peer| peer.is_closed()).count()), (MANY, MANY));
}

#[test]
fn the_app_stops_when_an_error_is_answered_by_what_caused_it() {
    let sim = Simulation::new();
    let book = Book::default();
    let worker = kept::<Tcp>(&book);
    worker.on_error(|connection, _, _| (0..3).for_each(|_| assert_ne!(connection.send("x"), SendStatus::Sent)));
    let peer = sim.connect(worker);
    peer.set_window(0);
    let connection = worker.connections().next().unwrap();
    connection.set_max_send_buffer_size(1);
    assert_eq!((connection.send("x"), connection.send("x")), (SendStatus::Queued, SendStatus::Dropped));
    sim.turn();
    sim.stop();
    book.is_even(1);
}

#[test]
fn the_app_stops_while_an_on_close_ends_the_others() {
    let sim = Simulation::new();
    let book = Book::default();
    let worker = kept::<Tcp>(&book);
    let closed = book.clone();
    worker.on_close(move |connection| {
        closed.closed(connection);
        worker.connections().for_each(TcpConnection::destroy);
        Worker::stop_all();
    });
    let _peers: Vec<Peer> = (0..10).map(|_| sim.connect(worker)).collect();
    sim.stop();
    book.is_even(10);
}

#[test]
fn a_connections_own_on_close_is_called_in_place_of_the_workers() {
    let sim = Simulation::new();
    let book = Book::default();
    let worker = kept::<Tcp>(&book);
    let peer = sim.connect(worker);
    let own = Rc::new(Cell::new(0));
    worker.connections().next().unwrap().on_close({
        let own = Rc::clone(&own);
        move |_| own.set(own.get() + 1)
    });
    peer.finish();
    sim.run();
    assert_eq!((own.get(), book.went.len()), (1, 0));
}

#[test]
fn ids_start_at_one_and_are_unique() {
    // A thread of its own: its first connection is number one.
    let thread = std::thread::spawn(|| {
        let mut ids = Vec::new();
        for _ in 0..3 {
            let sim = Simulation::new();
            let worker = Worker::<Tcp>::new("");
            for _ in 0..5 {
                let _peers: Vec<Peer> = (0..20).map(|_| sim.connect(worker)).collect();
                ids.extend(worker.connections().map(TcpConnection::id));
                worker.connections().for_each(TcpConnection::destroy);
                sim.run();
            }
        }
        ids
    });
    let ids = thread.join().unwrap();
    assert_eq!((ids.len(), ids.iter().min()), (300, Some(&1)));
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    assert!(ids.iter().all(|id| *id < 1 << 53));
}

/// What a callback does besides its bookkeeping.
#[derive(Clone, Copy, Debug, Default)]
enum Deed {
    #[default]
    Nothing,
    Panic,
    Fail,
    Close,
    CloseWith,
    Destroy,
    DestroyTwice,
    Pause,
    Send,
    SendMuch,
    DestroyOthers,
    CloseOthers,
    SendToAll,
    AddTimer,
}

#[derive(Clone, Debug)]
enum Action {
    Connect(Deed),
    /// A message that makes `on_message` do this.
    Message(usize, Deed),
    Garbage(usize),
    HalfAMessage(usize),
    Finish(usize),
    Reset(usize),
    Window(usize, usize),
    Read(usize),
    /// By the app, outside of callbacks.
    Do(usize, Deed),
    Resume(usize),
    OnClose(Deed),
    OnFull(Deed),
    OnDrain(Deed),
    OnError(Deed),
    Turn,
    Advance(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    use Deed::*;
    prop::sample::select(vec![
        Nothing,
        Panic,
        Fail,
        Close,
        CloseWith,
        Destroy,
        DestroyTwice,
        Pause,
        Send,
        SendMuch,
        DestroyOthers,
        CloseOthers,
        SendToAll,
        AddTimer,
    ])
}

fn action() -> impl Strategy<Value = Action> {
    let nth = || 0_usize..8;
    prop_oneof![
        6 => deed().prop_map(Action::Connect),
        2 => Just(Action::Connect(Deed::Nothing)),
        8 => (nth(), deed()).prop_map(|(nth, deed)| Action::Message(nth, deed)),
        1 => nth().prop_map(Action::Garbage),
        1 => nth().prop_map(Action::HalfAMessage),
        2 => nth().prop_map(Action::Finish),
        1 => nth().prop_map(Action::Reset),
        3 => (nth(), 0_usize..3000).prop_map(|(nth, window)| Action::Window(nth, window)),
        3 => nth().prop_map(Action::Read),
        5 => (nth(), deed()).prop_map(|(nth, deed)| Action::Do(nth, deed)),
        2 => nth().prop_map(Action::Resume),
        1 => deed().prop_map(Action::OnClose),
        1 => deed().prop_map(Action::OnFull),
        1 => deed().prop_map(Action::OnDrain),
        1 => deed().prop_map(Action::OnError),
        8 => Just(Action::Turn),
        1 => (0_u64..40_000).prop_map(Action::Advance),
    ]
}

fn act<P: Codec + Encode<&'static str>>(
    worker: Worker<P>,
    connection: TcpConnection<P>,
    deed: Deed,
) -> workerman::Result<()> {
    const MUCH: &str = match std::str::from_utf8(&[b'x'; 2000]) {
        Ok(text) => text,
        Err(_) => "",
    };
    let others = || worker.connections().filter(move |other| *other != connection);
    match deed {
        Deed::Nothing => {}
        Deed::Panic => boom(),
        Deed::Fail => return Err("failed".into()),
        Deed::Close => connection.close(),
        Deed::CloseWith => connection.close_with("bye"),
        Deed::Destroy => connection.destroy(),
        Deed::DestroyTwice => (0..2).for_each(|_| connection.destroy()),
        Deed::Pause => connection.pause_recv(),
        Deed::Send => drop(connection.send("answer")),
        Deed::SendMuch => (0..3).for_each(|_| assert_ne!(connection.send_raw(MUCH), SendStatus::WrongProtocol)),
        Deed::DestroyOthers => others().for_each(TcpConnection::destroy),
        Deed::CloseOthers => others().for_each(TcpConnection::close),
        Deed::SendToAll => {
            worker.connections().for_each(|other| assert_ne!(other.send("to all"), SendStatus::WrongProtocol));
        }
        Deed::AddTimer => drop(connection.add_timer(5, move || connection.close())),
    }
    Ok(())
}

/// Plays a script. `message` makes the bytes of a message that carries a deed's number, `deed` reads it.
fn play<P: Codec + Encode<&'static str>>(
    script: &[Action],
    message: fn(u8) -> String,
    number: fn(P::Message) -> u8,
    stop: bool,
) {
    const DEEDS: [Deed; 14] = [
        Deed::Nothing,
        Deed::Panic,
        Deed::Fail,
        Deed::Close,
        Deed::CloseWith,
        Deed::Destroy,
        Deed::DestroyTwice,
        Deed::Pause,
        Deed::Send,
        Deed::SendMuch,
        Deed::DestroyOthers,
        Deed::CloseOthers,
        Deed::SendToAll,
        Deed::AddTimer,
    ];
    let sim = Simulation::new();
    let book = Book::default();
    let worker = kept::<P>(&book);
    let deeds: [Rc<Cell<Deed>>; 5] = Default::default();
    let [connects, closes, fulls, drains, errors] = deeds.clone();
    let (opened, closed) = (book.clone(), book.clone());
    worker.on_connect(move |connection| {
        opened.opened(connection);
        connection.set_max_send_buffer_size(1000);
        act(worker, connection, connects.get())
    });
    worker.on_close(move |connection| {
        closed.closed(connection);
        act(worker, connection, closes.get())
    });
    worker.on_message(move |connection, message| {
        let deed = DEEDS.get(usize::from(number(message))).copied().unwrap_or_default();
        act(worker, connection, deed)
    });
    worker.on_buffer_full(move |connection| act(worker, connection, fulls.get()));
    worker.on_buffer_drain(move |connection| act(worker, connection, drains.get()));
    worker.on_error(move |connection, _, _| act(worker, connection, errors.get()));

    let mut ends: Vec<(Peer, TcpConnection<P>)> = Vec::new();
    let mut connected = 0;
    for action in script {
        let end = |nth: usize| ends.get(nth);
        let peer = |nth: usize| end(nth).map(|(peer, _)| peer);
        match *action {
            Action::Connect(deed) => {
                deeds[0].set(deed);
                let peer = sim.connect(worker);
                connected += 1;
                // The one that came last, if it is still there.
                let known = |connection: &TcpConnection<P>| ends.iter().any(|(_, known)| known == connection);
                if let Some(connection) = worker.connections().find(|connection| !known(connection)) {
                    ends.insert(0, (peer, connection));
                    ends.truncate(8);
                }
            }
            Action::Message(nth, deed) => {
                let code = (0..).zip(DEEDS).find(|(_, known)| *known as u8 == deed as u8).map_or(0, |(code, _)| code);
                peer(nth).map(|peer| peer.write(message(code))).unwrap_or_default();
            }
            Action::Garbage(nth) => peer(nth).map(|peer| peer.write("\0\r\n\r\n")).unwrap_or_default(),
            Action::HalfAMessage(nth) => {
                peer(nth).map(|peer| peer.write(&message(0)[..1])).unwrap_or_default();
            }
            Action::Finish(nth) => peer(nth).map(Peer::finish).unwrap_or_default(),
            Action::Reset(nth) => peer(nth).map(Peer::reset).unwrap_or_default(),
            Action::Window(nth, window) => peer(nth).map(|peer| peer.set_window(window)).unwrap_or_default(),
            Action::Read(nth) => drop(peer(nth).map(Peer::read)),
            Action::Do(_, Deed::Panic) => {}
            Action::Do(nth, deed) => drop(end(nth).map(|(_, connection)| act(worker, *connection, deed))),
            Action::Resume(nth) => end(nth).map(|(_, connection)| connection.resume_recv()).unwrap_or_default(),
            Action::OnClose(deed) => deeds[1].set(deed),
            Action::OnFull(deed) => deeds[2].set(deed),
            Action::OnDrain(deed) => deeds[3].set(deed),
            Action::OnError(deed) => deeds[4].set(deed),
            Action::Turn => sim.turn(),
            Action::Advance(milliseconds) => sim.advance(Duration::from_millis(milliseconds)),
        }
        assert!(book.went.len() <= book.came.len());
        assert_eq!(worker.connections().count(), book.came.len() - book.went.len());
    }
    if stop {
        sim.stop();
    } else {
        worker.connections().for_each(TcpConnection::destroy);
        sim.run();
        assert_eq!(worker.connections().count(), 0);
    }
    assert!(ends.iter().all(|(peer, connection)| peer.is_closed() && connection.status() == Status::Closed));
    book.is_even(connected);
}

fn script() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 0..60)
}

proptest! {
    #[test]
    fn whatever_happens_on_raw_connections(script in script(), stop: bool) {
        let number = |bytes: Vec<u8>| bytes.first().map_or(0, |byte| byte.wrapping_sub(b'a'));
        play::<Tcp>(&script, |code| char::from(b'a' + code).to_string(), number, stop);
    }

    #[test]
    fn whatever_happens_on_http_connections(script in script(), stop: bool) {
        let number = |request: Request| request.path().as_bytes().get(1).map_or(0, |byte| byte.wrapping_sub(b'a'));
        play::<Http>(&script, |code| get(&format!("/{}", char::from(b'a' + code))), number, stop);
    }
}
