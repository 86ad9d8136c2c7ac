//! The promise: what is over leaves nothing behind. Alone in its process, because it looks at the resident memory.
use workerman::testing::Simulation;
use workerman::{Http, Worker};

fn rss() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

#[test]
fn a_half_closing_client_that_was_answered_leaves_nothing_behind() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| connection.send("ok"));
    sim.start().unwrap();
    let round = |count: usize| {
        for _ in 0..count {
            let peer = sim.connect(worker);
            peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            peer.finish();
            sim.run();
            assert!(peer.is_closed());
        }
    };
    round(1_000);
    let before = rss();
    round(14_000);
    let each = (rss() - before) / 14_000;
    assert!(each < 8, "{each} bytes stay for 30 s after each closed connection (a timer that nobody needs)");
}
