//! Promise: clients may share their callbacks, and each is told of what is its own. In memory and in virtual time.

mod common;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, Status, Tcp, TcpConnection, Text, Worker};

type Client = AsyncTcpConnection<Text>;

/// A client that logs all it is told, and which of them it is; and its loop.
fn first() -> (Simulation, Client, Log<String>) {
    let simulation = Simulation::new();
    let client = Client::new("text://one.test:1");
    let log = Log::new();
    let (connect, message, error, close) = (log.writer(), log.writer(), log.writer(), log.writer());
    client.on_connect(move |client| connect(format!("{} connect", client.address())));
    client.on_message(move |client, line| message(format!("{} message {line}", client.address())));
    client.on_error(move |client, _, text| error(format!("{} error {text}", client.address())));
    client.on_close(move |client| close(format!("{} close", client.address())));
    (simulation, client, log)
}

fn connect(simulation: &Simulation, client: Client) -> Peer {
    client.connect();
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    simulation.run();
    peer
}

#[test]
fn clients_that_are_alike_are_each_told_of_their_own() {
    let (simulation, one, log) = first();
    let two = one.another("text://two.test:2");
    two.send("early");
    let (to_one, to_two) = (connect(&simulation, one), connect(&simulation, two));
    assert_eq!(log.take(), ["text://one.test:1 connect", "text://two.test:2 connect"]);
    assert_eq!((to_one.read_text(), to_two.read_text()), (String::new(), "early\n".to_owned()));
    to_two.write("2\n");
    to_one.write("1\n");
    simulation.run();
    let mut told = log.take();
    told.sort();
    assert_eq!(told, ["text://one.test:1 message 1", "text://two.test:2 message 2"]);
    two.close();
    to_two.finish();
    simulation.run();
    assert_eq!(log.take(), ["text://two.test:2 close"]);
    assert_eq!((one.status(), two.status()), (Status::Established, Status::Closed));
}

#[test]
fn who_is_alike_and_has_no_connection_is_told_too() {
    let (simulation, one, log) = first();
    let wrong = one.another("text://two.test");
    wrong.connect();
    simulation.run();
    let told = log.take();
    assert!(
        told.first().is_some_and(|told| told.starts_with("text://two.test error connect text://two.test fail")),
        "{told:?}"
    );
    assert_eq!(told.get(1..), Some(["text://two.test close".to_owned()].as_slice()));
    one.on_close(|client| client.reconnect(1));
    let other = one.another("text://three.test");
    other.connect();
    simulation.run();
    assert_eq!((one.status(), other.status()), (Status::Initial, Status::Initial), "each waits for itself");
    assert_eq!(other.address(), "text://three.test");
}

#[test]
fn a_callback_that_is_set_later_counts_for_all_who_are_alike() {
    let (simulation, one, log) = first();
    let two = one.another("text://two.test:2");
    let to_one = connect(&simulation, one);
    let message = log.writer();
    two.on_message(move |client, line| message(format!("{} hears {line}", client.address())));
    log.take();
    to_one.write("a\n");
    simulation.run();
    assert_eq!(log.take(), ["text://one.test:1 hears a"]);
}

#[test]
fn what_else_is_set_is_passed_on_and_then_each_ones_own() {
    let (simulation, one, log) = first();
    one.set_max_package_size(4);
    one.set(5_u32);
    let two = one.another("text://two.test:2");
    assert_eq!(two.get::<u32>(), None, "data are not passed on");
    one.set_max_package_size(1000);
    let (to_one, to_two) = (connect(&simulation, one), connect(&simulation, two));
    log.take();
    to_one.write("longer\n");
    to_two.write("longer\n");
    simulation.run();
    assert_eq!((one.status(), two.status()), (Status::Established, Status::Ending));
}

#[test]
fn one_alike_outlives_the_first() {
    let (simulation, one, log) = first();
    let two = one.another("text://two.test:2");
    one.close();
    assert_eq!(one.status(), Status::Closed);
    let to_two = connect(&simulation, two);
    to_two.write("still\n");
    simulation.run();
    assert_eq!(log.take(), ["text://two.test:2 connect", "text://two.test:2 message still"]);
    assert_eq!(one.another("text://three.test:3").status(), Status::Initial, "a new one");
}

#[test]
fn a_connection_that_switches_gets_no_callbacks_of_a_client() {
    let simulation = Simulation::new();
    let log = Log::new();
    let heard = log.writer();
    let client = AsyncTcpConnection::<Tcp>::new("tcp://one.test:1");
    client.on_message(move |_, bytes| heard(format!("client {bytes:?}")));
    client.on_connect(|client| {
        if let Some(connection) = client.connection() {
            connection.set_protocol::<Text>().set_protocol::<Tcp>();
        }
    });
    let worker = Worker::<Text>::new("text://127.0.0.1:0");
    worker.on_connect(|connection: TcpConnection<Text>| {
        connection.set_protocol::<Tcp>();
    });
    simulation.start().unwrap();
    client.connect();
    simulation.run();
    let server = simulation.accept().expect("it has connected");
    simulation.run();
    server.write("for the client");
    simulation.run();
    assert_eq!(log.take().len(), 1, "its own callbacks are back with its protocol");
    simulation.connect(worker).write("for nobody");
    simulation.run();
    assert_eq!(log.take(), Vec::<String>::new());
}
