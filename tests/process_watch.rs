//! Promise: a process knows what stands on its screens: workers, connections, messages, timers.

use workerman::testing::Simulation;
use workerman::testing::process::screens::{ConnectionStatus, Counts, ProcessStatus};
use workerman::testing::process::{EVENT_LOOP, connection_status, load_average, process_status, versions, worker_rows};
use workerman::{Http, Tcp, Text, Timer, UdpWorker, Worker};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn counts(name: &str) -> Counts {
    let statuses = process_status();
    let of_the_worker = |status: &ProcessStatus| (status.name == name).then_some(status.counts).flatten();
    statuses.iter().find_map(of_the_worker).expect("there is such a worker, and it is not busy")
}

#[test]
fn the_workers_stand_in_the_table_with_name_and_address() {
    let _simulation = Simulation::new();
    Worker::<Http>::new("http://127.0.0.1:0").set_name("web");
    Worker::<Text>::new("unix:///tmp/app.sock").set_name("local");
    Worker::<Tcp>::new("");
    UdpWorker::<Text>::new("udp://127.0.0.1:0").set_name("datagrams");
    let rows = worker_rows();
    let shown: Vec<[&str; 4]> =
        rows.iter().map(|row| [&*row.transport, &*row.name, &*row.listen, &*row.event_loop]).collect();
    assert_eq!(
        shown,
        [
            ["tcp", "web", "http://127.0.0.1:0", EVENT_LOOP],
            ["unix", "local", "unix:///tmp/app.sock", EVENT_LOOP],
            ["tcp", "none", "none", EVENT_LOOP],
            ["udp", "datagrams", "udp://127.0.0.1:0", EVENT_LOOP],
        ]
    );
    assert!(rows.iter().all(|row| row.count == 1 && row.user == rows[0].user && !row.user.is_empty()));
    let statuses = process_status();
    let listening: Vec<&str> = statuses.iter().map(|status| status.listening.as_str()).collect();
    assert_eq!(listening, ["http://127.0.0.1:0", "unix:///tmp/app.sock", "none", "udp://127.0.0.1:0"]);
    assert!(statuses.iter().all(|status| status.pid == std::process::id()));
}

#[test]
fn messages_connections_and_timers_are_counted() {
    let simulation = Simulation::new();
    let web = Worker::<Http>::new("");
    web.set_name("web");
    web.on_message(|connection, _| connection.send("ok"));
    let lines = Worker::<Text>::new("");
    lines.set_name("lines");
    let (one, two) = (simulation.connect(web), simulation.connect(web));
    let line = simulation.connect(lines);
    one.write(GET.repeat(3));
    two.write(GET);
    line.write("a\nb\n");
    let timer = Timer::add(1000, || ());
    simulation.run();
    assert_eq!([counts("web").connections, counts("lines").connections], [2, 1]);
    let counted = counts("web");
    assert_eq!((counted.total_request, counted.timers, counted.send_fail), (6, 1, 0), "those of the whole process");
    one.finish();
    simulation.run();
    Timer::del(timer);
    let counted = counts("web");
    assert_eq!((counted.total_request, counted.timers, counted.connections), (6, 0, 1));
    #[cfg(target_os = "linux")]
    assert!((100_000..10_000_000_000).contains(&counted.memory), "{}", counted.memory);
}

#[test]
fn what_finds_no_room_is_counted_as_a_failure() {
    let simulation = Simulation::new();
    let worker = Worker::<Text>::new("");
    worker.set_name("lines");
    worker.on_message(|connection, _| {
        connection.set_max_send_buffer_size(10);
        connection.send("more than there is room for");
        connection.send("one");
        connection.send("two");
    });
    let peer = simulation.connect(worker);
    peer.set_window(1);
    peer.write("\n");
    simulation.run();
    assert_eq!(counts("lines").send_fail, 2);
}

#[test]
fn a_connection_is_shown_with_all_that_is_known_of_it() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.set_name("web");
    worker.on_message(|connection, _| connection.send("ok"));
    let peer = simulation.connect(worker);
    peer.write(GET);
    simulation.run();
    let answer = peer.read();
    peer.write("GET / HT");
    simulation.run();
    let [shown] = connection_status().try_into().expect("one connection");
    let ConnectionStatus { pid, id, remote, .. } = &shown;
    assert_eq!((*pid, *id, remote.as_str()), (std::process::id(), 1, "127.0.0.1:50000"));
    assert_eq!(
        [&*shown.worker, &*shown.protocol, &*shown.transport, &*shown.status],
        ["web", "Http", "tcp", "ESTABLISHED"]
    );
    assert_eq!((shown.is_ipv4, shown.is_ipv6, shown.queued), (true, false, 0));
    assert_eq!((shown.bytes_read, shown.bytes_written), (GET.len() as u64 + 8, answer.len() as u64));
    assert_eq!(shown.received, 8, "the beginning of a request");
}

#[test]
fn the_machine_and_the_program_are_named() {
    let versions = versions();
    assert_eq!(versions.workerman, env!("CARGO_PKG_VERSION"));
    assert!(versions.language.starts_with("Rust/1."), "{}", versions.language);
    assert!(versions.system.contains('/'), "{}", versions.system);
    assert_eq!(load_average().is_some(), cfg!(target_os = "linux"));
}
