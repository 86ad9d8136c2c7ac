//! The promise: a logger is user code, so it may look at connections and workers whatever is being logged.

use workerman::testing::Simulation;
use workerman::{Http, TcpConnection, Worker};

struct Looks;

impl log::Log for Looks {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        let _ = TcpConnection::<Http>::find(1);
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_may_look_at_connections() {
    log::set_logger(&Looks).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_connect(|connection| {
        connection.set(1_u32);
        connection.with(|_: &mut u32| connection.with(|_: &mut u32| ()));
    });
    worker.on_message(|connection, _| {
        connection.send("one");
        connection.send("stray");
    });
    let peer = sim.connect(worker);
    peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n");
    sim.run();
    let unanswered = sim.connect(worker);
    unanswered.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    unanswered.reset();
    sim.run();
    assert!(peer.read_text().contains("400"));
}
