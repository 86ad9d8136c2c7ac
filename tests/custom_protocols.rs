//! Promise: a protocol of one's own is asked for lengths and messages as PHP's is, however the bytes come; its limits are
//! kept for it, and what it remembers is its connection's. What fails in it: `tests/custom_failures.rs`.

mod support;

#[path = "protocols/manual.rs"]
mod manual;
#[path = "protocols/script.rs"]
mod script;

use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use manual::{BinaryTransfer, JsonInt, JsonNl, TextTransfer, Xml};
use proptest::collection::vec;
use proptest::prelude::*;
use script::{Message, Script, State, Step, logged, script, steps, tell, watch};
use serde_json::json;
use support::Log;
use workerman::testing::Simulation;
use workerman::{Codec, Encode, Encoded, Error, Output, Protocol, Result, SendStatus, Status, TcpConnection, Worker};

/// The answer is the same wherever the bytes are cut.
fn same_however_cut<P: Codec>(sim: &Simulation, worker: Worker<P>, wire: &[u8], expected: &[u8]) {
    let bytes: Vec<_> = wire.chunks(1).collect();
    assert_eq!(tell(sim, worker, &bytes).1.escape_ascii().to_string(), expected.escape_ascii().to_string());
    for at in 0..wire.len() {
        let (head, tail) = wire.split_at(at);
        let (_peer, answer) = tell(sim, worker, &[head, tail]);
        assert_eq!(answer.escape_ascii().to_string(), expected.escape_ascii().to_string(), "cut at {at}");
    }
}

#[test]
fn the_protocols_of_the_manual_are_understood_however_their_bytes_come() {
    let sim = Simulation::new();

    let worker = Worker::<Xml>::new("");
    worker.on_message(|connection, xml| connection.send(xml.to_uppercase().as_str()));
    same_however_cut(
        &sim,
        worker,
        b"0000000016<a>\xc3\xa4 0000000014<b/>",
        "0000000016<A>\u{c4} 0000000014<B/>".as_bytes(),
    );

    let worker = Worker::<JsonInt>::new("");
    worker.on_message(|connection, message| connection.send(&json!([message])));
    same_however_cut(&sim, worker, b"\0\0\0\x0b{\"a\":1}\0\0\0\x052", b"\0\0\0\x0d[{\"a\":1}]\0\0\0\x07[2]");

    let worker = Worker::<BinaryTransfer>::new("");
    worker.on_message(|connection, (name, contents)| connection.send(format!("{name}: {contents:?};")));
    same_however_cut(&sim, worker, b"\0\0\0\x0c\x05a.binxy\0\0\0\x06\x01b", b"a.bin: [120, 121];b: [];");

    let worker = Worker::<TextTransfer>::new("");
    worker.on_message(|connection, (name, contents)| connection.send(format!("{name}: {}\n", contents.escape_ascii())));
    let wire = b"{\"file_name\": \"a.txt\", \"file_data\": \"aGVsbG8=\"}\n{\"file_name\":\"b\",\"file_data\":\"\"}\n";
    same_however_cut(&sim, worker, wire, b"a.txt: hello\nb: \n");

    let worker = Worker::<JsonNl>::new("");
    worker.on_message(|connection, message| connection.send(&json!({ "got": message })));
    same_however_cut(&sim, worker, b"{\"a\": [1]}\r\n7\n", b"{\"got\":{\"a\":[1]}}\n{\"got\":7}\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_comes_back_in_segments_of_any_size(sent in vec("[^0-9]{0,40}", 1..9), segment in 1_usize..60) {
        let sim = Simulation::new();
        let worker = Worker::<Xml>::new("");
        worker.on_message(|connection, xml| connection.send(xml.as_str()));
        let wire: String = sent.iter().map(|xml| format!("{:010}{xml}", 10 + xml.len())).collect();
        let peer = sim.connect(worker);
        peer.set_segment(segment);
        peer.write(&wire);
        sim.run();
        prop_assert_eq!(peer.read_text(), wire);
    }
}

#[test]
fn a_length_that_was_told_is_not_asked_for_again() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    let log = Log::default();
    worker.on_message({
        let log = log.clone();
        move |_, message: Message| log.add(message)
    });
    script(|step| match step {
        Step::Input([first, _, ..]) => Ok(Some(usize::from(first - b'0'))),
        _ => Ok(None),
    });
    let peer = sim.connect(worker);
    for byte in b"6abcde3xy" {
        peer.write([*byte]);
        sim.run();
    }
    assert_eq!(steps(), ["input 6", "input 6a", "decode 6abcde", "input 3", "input 3x", "decode 3xy"]);
    assert_eq!(log.take(), ["6abcde", "3xy"]);
    // All at once, and the beginning of a third.
    peer.write("2a4bcd5e");
    sim.run();
    assert_eq!(steps(), ["input 2a4bcd5e", "decode 2a", "input 4bcd5e", "decode 4bcd", "input 5e"]);
    // A pause in the middle of it changes nothing.
    let connection = worker.connections().next().expect("a connection");
    peer.write("fg");
    sim.run();
    connection.pause_recv();
    peer.write("h2i");
    sim.run();
    assert_eq!((steps(), log.take()), (vec![], vec!["2a".to_owned(), "4bcd".to_owned()]));
    connection.resume_recv();
    sim.run();
    assert_eq!(
        (steps(), log.take()),
        (
            vec!["decode 5efgh".to_owned(), "input 2i".to_owned(), "decode 2i".to_owned()],
            vec!["5efgh".to_owned(), "2i".to_owned()]
        )
    );
}

#[test]
fn a_message_that_pauses_keeps_the_part_behind_it() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    worker.on_message(|connection, message: Message| {
        connection.pause_recv();
        connection.send(message)
    });
    script(|step| match step {
        Step::Input([first, ..]) => Ok(Some(usize::from(first - b'0'))),
        _ => Ok(None),
    });
    let (peer, answer) = tell(&sim, worker, &[b"2a3", b"bc2d"]);
    assert_eq!(answer, b"2a");
    for expected in ["3bc", "2d", ""] {
        worker.connections().for_each(TcpConnection::resume_recv);
        sim.run();
        assert_eq!(peer.read_text(), expected);
    }
}

#[test]
fn a_length_of_zero_counts_as_none() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    worker.on_message(|connection, message: Message| connection.send(message));
    script(|step| match step {
        Step::Input(buffer) => Ok(Some(if buffer.len() < 3 { 0 } else { 3 })),
        _ => Ok(None),
    });
    assert_eq!(tell(&sim, worker, &[b"a", b"b", b"cde", b"f"]).1, b"abcdef");
}

#[test]
fn a_package_that_is_too_long_is_refused_when_its_length_is_told() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    worker.on_connect(|connection| connection.set_max_package_size(5));
    worker.on_message(|connection, message: Message| connection.send(message));
    let log = watch(worker);
    script(|step| match step {
        Step::Input([b'm', ..]) => Ok(Some(usize::MAX)),
        Step::Input([first, ..]) => Ok(Some(usize::from(first - b'0'))),
        _ => Ok(None),
    });
    let (peer, answer) = tell(&sim, worker, &[b"5abcd5efgh"]);
    assert_eq!((answer.as_slice(), peer.is_finished()), (&b"5abcd5efgh"[..], false));
    for wire in [b"6", b"m"] {
        let (peer, answer) = tell(&sim, worker, &[wire, b"abcde"]);
        assert!(answer.is_empty() && peer.is_finished());
        assert_eq!(log.take(), ["error 3 the package is longer than max_package_size"]);
        peer.finish();
        sim.run();
        assert_eq!(log.take(), ["close"]);
    }
}

#[test]
fn without_an_end_in_sight_nothing_is_kept_past_the_limit() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    worker.on_connect(|connection| connection.set_max_package_size(5));
    let log = watch(worker);
    script(|_| Ok(None));
    let peer = sim.connect(worker);
    for piece in ["a", "bcd", "e"] {
        peer.write(piece);
        sim.run();
    }
    assert!(!peer.is_finished(), "it may have as many");
    peer.write("f");
    sim.run();
    assert!(peer.is_finished());
    assert_eq!(steps(), ["input a", "input abcd", "input abcde", "input abcdef"]);
    assert_eq!(log.take(), ["error 3 the package is longer than max_package_size"]);
    peer.write("more");
    sim.run();
    assert!(steps().is_empty(), "nothing more is looked at");
}

#[test]
fn what_is_taken_back_was_never_sent() {
    let sim = Simulation::new();
    let worker = Worker::<Half>::new("");
    let peer = sim.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    worker.on_message(|connection, ()| {
        assert_eq!(connection.send(Encoded::Done), SendStatus::Sent);
        assert_eq!(connection.send(Encoded::Kept), SendStatus::Queued);
        for _ in 0..2 {
            assert_eq!(connection.send(Encoded::Stray("there is no place")), SendStatus::Dropped);
        }
        assert_eq!(connection.send(Encoded::Kept), SendStatus::Queued);
        assert_eq!(connection.send(Encoded::Done), SendStatus::Sent);
    });
    peer.write("x");
    sim.run();
    assert_eq!((peer.read_text().as_str(), connection.status()), ("halfhalf", Status::Established));
    let lines = logged();
    assert_eq!(lines.iter().filter(|line| line.contains("there is no place")).count(), 1, "{lines:?}");
}

/// Its messages write half of what they are, and come to this.
#[derive(Default)]
struct Half;

impl Protocol for Half {
    type Message = ();

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        Ok(Some(buffer.len()))
    }

    fn decode(&mut self, _package: &[u8]) -> Result<()> {
        Ok(())
    }
}

impl Encode<Encoded> for Half {
    fn encode(&mut self, outcome: Encoded, output: &mut Output<'_>) -> Encoded {
        output.bytes(b"half");
        if outcome != Encoded::Done {
            output.owned(vec![b'x'; 100_000]);
            output.bytes(b"more");
            output.close_after();
        }
        outcome
    }
}

/// What an output takes: nothing, bytes in all forms, and the end.
impl Encode<u8> for Half {
    fn encode(&mut self, kind: u8, output: &mut Output<'_>) -> Encoded {
        let shared: Arc<[u8]> = vec![b's'; 2000].into();
        match kind {
            0 => {}
            1 => output.bytes(b"bytes"),
            2 => output.owned(vec![b'o'; 20_000]),
            3 => output.shared(&shared, 500..2000),
            4 => {
                let file = tempfile::tempfile().and_then(|mut file| {
                    file.write_all(b"a file of its own")?;
                    file.rewind()?;
                    Ok(file)
                });
                return file.map(|file| output.file(file, 2..6)).into();
            }
            5 => return write!(output, "{:03}", 7).into(),
            _ => {
                output.bytes(b"bye");
                output.close_after();
            }
        }
        Encoded::Done
    }
}

#[test]
fn an_output_takes_bytes_in_many_forms_and_the_end() {
    let sim = Simulation::new();
    let worker = Worker::<Half>::new("");
    worker.on_message(|connection, ()| {
        for kind in 0..8_u8 {
            let expected = if kind < 7 { SendStatus::Sent } else { SendStatus::Closed };
            assert_eq!(connection.send(kind), expected, "{kind}");
        }
    });
    let log = watch(worker);
    let (peer, answer) = tell(&sim, worker, &[b"x"]);
    let expected = [b"bytes", vec![b'o'; 20_000].as_slice(), &[b's'; 1500], b"file", b"007", b"bye"].concat();
    assert!(answer == expected && peer.is_closed());
    assert_eq!(log.take(), ["close"]);
    // Outside of callbacks as well.
    let peer = sim.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    assert_eq!((connection.send(0_u8), connection.send(6_u8)), (SendStatus::Sent, SendStatus::Sent));
    sim.run();
    assert!(peer.read() == b"bye" && peer.is_closed());
}

/// Answers each byte with the number of bytes that have come on its connection.
#[derive(Default)]
struct Counter {
    count: u64,
    _state: State,
}

impl Protocol for Counter {
    type Message = u64;

    fn input(&mut self, _buffer: &[u8]) -> Result<Option<usize>> {
        Ok(Some(1))
    }

    fn decode(&mut self, _package: &[u8]) -> Result<u64> {
        self.count += 1;
        Ok(self.count)
    }
}

impl Encode<u64> for Counter {
    fn encode(&mut self, count: u64, output: &mut Output<'_>) -> Encoded {
        self.count *= 10;
        output.bytes(format!("{count} ").as_bytes());
        Encoded::Done
    }
}

#[test]
fn what_a_protocol_remembers_is_its_connections_and_ends_with_it() {
    let sim = Simulation::new();
    let worker = Worker::<Counter>::new("");
    worker.on_message(|connection, count| connection.send(count));
    worker.on_close(|_| State::add("close"));
    let [one, two] = [sim.connect(worker), sim.connect(worker)];
    assert_eq!(State::take(), ["made", "made"]);
    one.write("abc");
    two.write("a");
    sim.run();
    one.write("d");
    sim.run();
    assert_eq!((one.read_text().as_str(), two.read_text().as_str()), ("1 11 111 1111 ", "1 "));
    assert!(State::take().is_empty());
    one.finish();
    sim.run();
    assert_eq!(State::take(), ["close", "dropped"]);
    sim.stop();
    assert_eq!(State::take(), ["close", "dropped"]);
}

/// It has no size, and yet something happens when it begins and ends.
struct Unit;

impl Default for Unit {
    fn default() -> Self {
        State::add("made");
        Self
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        State::add("dropped");
    }
}

impl Protocol for Unit {
    type Message = ();

    fn input(&mut self, _buffer: &[u8]) -> Result<Option<usize>> {
        Ok(Some(1))
    }

    fn decode(&mut self, _package: &[u8]) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_protocol_without_fields_is_made_and_dropped_once_too() {
    let sim = Simulation::new();
    let worker = Worker::<Unit>::new("");
    let (peer, _) = tell(&sim, worker, &[b"abc", b"d"]);
    assert_eq!(State::take(), ["made"]);
    peer.reset();
    sim.run();
    assert_eq!(State::take(), ["dropped"]);
}

#[test]
fn the_address_of_a_worker_says_its_protocol_or_tcp_or_nothing() {
    let sim = Simulation::new();
    for address in ["xml://127.0.0.1:0", "XML://127.0.0.1:0", "tcp://127.0.0.1:0", "127.0.0.1:0"] {
        let worker = Worker::<Xml>::new(address);
        worker.listen().unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(worker.local_addr().is_some(), "{address}");
    }
    let result = Worker::<Xml>::new("json://127.0.0.1:0").listen();
    assert!(matches!(result, Err(Error::Address { .. })), "{result:?}");
    // One that has no name for itself.
    assert!(Worker::<Unit>::new("tcp://127.0.0.1:0").listen().is_ok());
    assert!(Worker::<Unit>::new("unit://127.0.0.1:0").listen().is_err());
    drop(sim);
}
