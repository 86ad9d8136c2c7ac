//! Promise: an app that wants to is told of a request before its body is read, may turn it away there, and may take the
//! body in pieces at its own pace; for everybody else nothing changes.

mod common;

use std::time::Duration;

use common::{Answer, Log, answers, bodies, get, only, text};
use workerman::testing::{Peer, Simulation};
use workerman::{Chunk, Deadlines, Http, Request, Response, SendStatus, Status, TcpConnection, Worker};

const HEAD: &str = "POST /up HTTP/1.1\r\nHost: a\r\n";

fn post(body: &str) -> String {
    format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(chunks: &[&str]) -> String {
    let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
    format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nSum: 1\r\n\r\n")
}

/// A worker that writes down what happens, and answers complete requests.
struct Told {
    simulation: Simulation,
    worker: Worker<Http>,
    peer: Peer,
    log: Log<String>,
}

impl Told {
    fn new(on_head: impl Fn(TcpConnection<Http>, &Request) + 'static) -> Self {
        Self::with_log(Log::new(), on_head)
    }

    /// One that takes bodies in pieces, and does something with each.
    fn in_pieces(on_piece: impl Fn(TcpConnection<Http>, &[u8]) + Copy + 'static) -> Self {
        let log = Log::new();
        let write = log.writer();
        Self::with_log(log, move |connection, _| {
            let write = write.clone();
            connection.on_body(move |connection, piece| {
                write(format!("piece {}", text(piece)));
                on_piece(connection, piece);
            });
        })
    }

    fn with_log(log: Log<String>, on_head: impl Fn(TcpConnection<Http>, &Request) + 'static) -> Self {
        let (simulation, worker) = (Simulation::new(), Worker::new(""));
        let write = log.writer();
        worker.on_head(move |connection, request: &Request| {
            assert!(request.raw_body().is_empty());
            write(format!("head {}", request.path()));
            on_head(connection, request);
        });
        let write = log.writer();
        worker.on_message(move |connection, request| {
            write(format!("message {} {}", request.path(), text(request.raw_body())));
            connection.send(format!("sum {}", request.trailer("sum").unwrap_or_default()))
        });
        let write = log.writer();
        worker.on_close(move |_| write("close".into()));
        let peer = simulation.connect(worker);
        Self { simulation, worker, peer, log }
    }

    fn give(&self, bytes: impl AsRef<[u8]>) {
        self.peer.write(bytes);
        self.simulation.run();
    }

    fn answers(&self) -> Vec<Answer> {
        answers(&self.peer.read())
    }
}

fn sent(status: SendStatus) {
    assert_eq!(status, SendStatus::Sent);
}

fn nothing(_: TcpConnection<Http>, _: &[u8]) {}

#[test]
fn a_head_is_told_before_the_body_and_the_whole_request_follows() {
    let told = Told::new(|_, _| {});
    told.give(&post("hello")[..post("").len() + 1]);
    assert_eq!(told.log.take(), ["head /up"]);
    told.give(["ello", &chunked(&["wor", "ld"]), &get("/none")].concat());
    assert_eq!(told.log.take(), ["message /up hello", "head /up", "message /up world", "message /none "]);
    assert_eq!(bodies(&told.peer.read()), ["sum ", "sum 1", "sum "]);
    assert!(!told.peer.is_finished());
}

#[test]
fn a_body_in_pieces_comes_as_it_arrives_and_the_connection_goes_on() {
    for (wire, ends) in [(post("hello, world"), ["sum "]), (chunked(&["hello, world"]), ["sum 1"])] {
        for cut in 1..wire.len() {
            let told = Told::in_pieces(nothing);
            told.give(&wire[..cut]);
            told.give(&wire[cut..]);
            let log = told.log.take();
            let body: String = log.iter().filter_map(|entry| entry.strip_prefix("piece ")).collect();
            assert_eq!(body, "hello, world", "cut at {cut}");
            assert_eq!((log.first().unwrap().as_str(), log.last().unwrap().as_str()), ("head /up", "message /up "));
            assert_eq!(bodies(&told.peer.read()), ends);
            told.give(get("/next"));
            assert_eq!(told.log.take(), ["message /next "]);
            assert_eq!(told.answers()[0].status(), 200);
        }
    }
}

#[test]
fn pieces_are_for_one_request() {
    let told = Told::new(|connection, request| {
        if request.header("x-pieces").is_some() {
            connection.on_body(|_, _| {});
        }
    });
    told.give(post("one").replace("Host", "X-Pieces: 1\r\nHost") + &post("two"));
    assert_eq!(told.log.take(), ["head /up", "message /up ", "head /up", "message /up two"]);
}

#[test]
fn a_request_that_is_turned_away_at_its_head_is_the_last_and_its_body_is_not_awaited() {
    let told = Told::new(|connection, _| sent(connection.send(Response::new(403, &[], "no"))));
    told.give(&post("hello")[..post("hello").len() - 1]);
    let answer = &told.answers()[0];
    assert_eq!((answer.status(), answer.header("connection")), (403, Some("close")));
    assert!(told.peer.is_finished());
    told.give("o");
    told.peer.finish();
    told.simulation.run();
    assert_eq!(told.log.take(), ["head /up", "close"]);

    // The whole body, and a request that nobody will see.
    let told = Told::new(|connection, _| sent(connection.send(Response::new(403, &[], "no"))));
    told.give(post("hello") + &get("/next"));
    assert_eq!((told.answers().len(), told.log.take()), (1, vec!["head /up".to_owned()]));
}

#[test]
fn who_waits_for_100_is_told_to_go_on_unless_turned_away() {
    let expecting = post("hello").replace("Host", "Expect: 100-continue\r\nHost");
    let (head, body) = expecting.split_at(expecting.len() - 5);
    let told = Told::new(|_, _| {});
    told.give(head);
    assert_eq!(told.peer.read_text(), "HTTP/1.1 100 Continue\r\n\r\n");
    told.give(body);
    assert_eq!(told.answers()[0].status(), 200);
    // Who has sent some of it does not wait.
    told.give(&expecting);
    assert_eq!(told.answers()[0].status(), 200);

    let told = Told::new(|connection, _| sent(connection.send(Response::new(417, &[], ""))));
    told.give(head);
    assert_eq!((told.answers()[0].status(), told.peer.is_finished()), (417, true));
}

#[test]
fn only_in_pieces_may_a_body_be_larger_than_a_package() {
    for wire in [post(&"x".repeat(1000)), chunked(&["x"; 1000])] {
        let told = Told::new(|_, _| {});
        only(told.worker).set_max_package_size(500);
        told.give(&wire);
        assert_eq!((told.answers()[0].status(), told.log.take()), (413, vec!["head /up".to_owned()]));

        let told = Told::in_pieces(nothing);
        only(told.worker).set_max_package_size(500);
        told.give(&wire);
        let x = told.log.take().concat().matches('x').count();
        assert_eq!((told.answers()[0].status(), x), (200, 1000));
    }
}

#[test]
fn a_pause_holds_the_pieces_and_nothing_counts_against_the_client() {
    for wire in [post("hello"), chunked(&["hel", "lo"])] {
        let told = Told::in_pieces(|connection, _| connection.pause_recv());
        told.worker.set_deadlines(Deadlines::default().body(1));
        let (head, body) = wire.split_at(wire.find("\r\n\r\n").unwrap() + 5);
        told.give(head);
        told.give(body);
        let before = told.log.take().len();
        assert!(before < 3, "the head, and the piece that came with it");
        told.simulation.advance(Duration::from_secs(100));
        assert_eq!((told.log.take().len(), told.peer.read_text()), (0, String::new()));
        for _ in 0..3 {
            only(told.worker).resume_recv();
            told.simulation.run();
        }
        assert_eq!(told.log.take().last().unwrap(), "message /up ");
        assert_eq!(told.answers()[0].status(), 200);
    }
}

#[test]
fn a_pause_bounds_what_is_read() {
    let told = Told::in_pieces(|connection, _| connection.pause_recv());
    told.peer.write(post(&"x".repeat(10_000_000)));
    told.simulation.run();
    assert!(only(told.worker).bytes_read() <= 128 * 1024);
}

#[test]
fn a_slow_body_is_given_up() {
    let told = Told::in_pieces(nothing);
    told.give(&post("hello")[..post("hello").len() - 1]);
    told.simulation.advance(Duration::from_secs(40));
    assert_eq!(told.answers()[0].status(), 408);
}

#[test]
fn an_answer_in_the_middle_of_a_body_is_the_last() {
    let told = Told::in_pieces(|connection, piece| {
        if piece.ends_with(b"!") {
            connection.send(Response::new(422, &[], "no !"));
        }
    });
    told.give(chunked(&["fine", "fine!", "lost"]) + &get("/next"));
    assert_eq!((told.answers()[0].status(), told.peer.is_finished()), (422, true));
    assert_eq!(told.log.take(), ["head /up", "piece fine", "piece fine!"]);

    // That a piece was the last is known when the message comes.
    let told = Told::in_pieces(|connection, _| sent(connection.send("at once")));
    told.give(post("hello") + &get("/next"));
    assert_eq!(told.log.take(), ["head /up", "piece hello"]);
    assert_eq!((bodies(&told.peer.read()), told.peer.is_finished()), (vec!["at once".to_owned()], true));
}

#[test]
fn an_empty_body_is_none_to_be_told_of() {
    let told = Told::in_pieces(nothing);
    told.give(post("") + &get("/next"));
    assert_eq!(told.log.take(), ["message /up ", "message /next "]);
}

#[test]
fn an_answer_that_the_app_frames_itself_in_the_middle_of_a_body_is_followed_by_the_next_request() {
    for wire in [post("hello"), chunked(&["hello"])] {
        let told = Told::new(|connection, request| {
            if request.path() == "/up" {
                connection.on_body(|_, _| {});
                sent(connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw"));
            }
        });
        told.give(wire + &get("/next"));
        assert_eq!(told.log.take(), ["head /up", "message /next "]);
        assert_eq!(bodies(&told.peer.read()), ["raw", "sum "]);
    }
}

#[test]
fn an_answer_may_begin_before_the_body_ends_and_nothing_is_written_into_it() {
    let begin = |connection: TcpConnection<Http>, piece: &[u8]| {
        if piece == b"first" {
            connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], "begin "));
        }
        connection.send(Chunk::new("echo "));
    };
    let told = Told::in_pieces(begin);
    let wire = chunked(&["first", "second"]);
    told.give(&wire[..wire.len() - 5]);
    let answer = told.peer.read_text();
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n6\r\nbegin \r\n5\r\necho \r\n5\r\necho \r\n"), "{answer}");
    told.simulation.advance(Duration::from_secs(100));
    assert_eq!((told.peer.read_text(), told.peer.is_finished()), (String::new(), true));

    let told = Told::in_pieces(begin);
    told.give(&wire[..wire.find("first\r\n").unwrap() + 7]);
    told.peer.read();
    told.give("zz");
    assert_eq!((told.peer.read_text(), told.peer.is_finished()), (String::new(), true));
}

#[test]
fn a_failing_callback_is_answered_with_500_and_costs_the_connection() {
    let (simulation, worker) = (Simulation::new(), Worker::<Http>::new(""));
    worker.on_head(|connection, request| match request.path() {
        "/head" => Err("no head"),
        _ => {
            connection.on_body(|_, _| Err::<(), _>("no piece"));
            Ok(())
        }
    });
    for path in ["/head", "/piece"] {
        let peer = simulation.connect(worker);
        peer.write(post("hello").replace("/up", path));
        simulation.run();
        assert_eq!((answers(&peer.read())[0].status(), peer.is_finished()), (500, true), "{path}");
    }
}

#[test]
fn a_body_that_breaks_off_ends_with_the_connection_and_drops_what_took_it() {
    let log = Log::new();
    let write = log.writer();
    struct Gone(Box<dyn Fn(String)>);
    impl Drop for Gone {
        fn drop(&mut self) {
            (self.0)("gone".into());
        }
    }
    let told = Told::with_log(log, move |connection, _| {
        let gone = Gone(Box::new(write.clone()));
        connection.on_body(move |_, _| (gone.0)("piece".into()));
    });
    told.give(&post("hello")[..post("hello").len() - 1]);
    told.peer.finish();
    told.simulation.run();
    assert_eq!(told.log.take(), ["head /up", "piece", "close", "gone"]);
    assert!(told.worker.connections().next().is_none());

    told.log.take();
    let peer = told.simulation.connect(told.worker);
    peer.write(post("hello"));
    told.simulation.run();
    assert_eq!(told.log.take(), ["head /up", "piece", "gone", "message /up "]);
}

#[test]
fn a_connection_may_be_closed_in_the_middle() {
    for at_head in [true, false] {
        let told = if at_head {
            Told::new(|connection, _| connection.destroy())
        } else {
            Told::in_pieces(|connection, _| connection.destroy())
        };
        told.give(post("hello") + &get("/next"));
        let log = told.log.take();
        assert_eq!((log[0].as_str(), log.last().unwrap().as_str()), ("head /up", "close"));
        assert!(!log.concat().contains("message") && told.peer.is_closed());
    }
}

#[test]
fn the_answer_to_the_whole_request_may_be_late() {
    let told = Told::new(|_, _| {});
    told.worker.on_message(|connection, _| {
        connection.add_timer(1, move || connection.send("late"));
    });
    told.give(post("hello"));
    told.simulation.advance(Duration::from_secs(2));
    assert_eq!(bodies(&told.peer.read()), ["late"]);
    assert_eq!(only(told.worker).status(), Status::Established);
}

#[test]
fn a_pause_at_the_last_piece_holds_the_message() {
    for wire in [chunked(&["hello"]), post("hello")] {
        let told = Told::in_pieces(|connection, _| connection.pause_recv());
        told.give(&wire);
        assert_eq!(told.log.take(), ["head /up", "piece hello"], "{wire}");
        only(told.worker).resume_recv();
        told.simulation.run();
        assert_eq!(told.log.take(), ["message /up "]);
    }
}
