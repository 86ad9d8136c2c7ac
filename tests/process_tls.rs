//! Promise: an app with TLS is operated as any other: who dies comes back, a reload takes new certificates and costs nobody a
//! request, and files that are wrong keep an app from starting, or from changing, and are named.

#![cfg(feature = "_tls")]
#![allow(dead_code)] // each test program uses its part of the modules
#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

#[path = "outside/app.rs"]
mod app;
#[path = "outside/certificates.rs"]
mod certificates;
#[path = "outside/load.rs"]
mod load;

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use app::{App, answer_in};
use certificates::{Authority, Pair};
use load::{Load, Stream};
use outside::{Process, Program, address_in, eventually, signal, try_connect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The files that an app is given, and what may stand in them.
struct Files {
    authority: Authority,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    /// With a good pair in them.
    fn new() -> Self {
        let authority = Authority::new();
        let [chain, key] = ["chain.pem", "key.pem"].map(|name| authority.directory().join(name));
        let files = Self { authority, chain, key };
        files.renew();
        files
    }

    /// Puts another pair there; answers its certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let Pair { certificate, key } = self.authority.sign(&["localhost"]);
        // As those do who renew certificates: whole files, by their names.
        fs::rename(certificate, &self.chain).expect("it can be renamed");
        fs::rename(key, &self.key).expect("it can be renamed");
        self.certificate()
    }

    /// Puts a key there that is another's.
    fn break_key(&self) {
        fs::rename(self.authority.sign(&["localhost"]).key, &self.key).expect("it can be renamed");
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.chain).expect("it is there")
    }

    /// What the app is given.
    fn give(&self, program: Program) -> Program {
        program.with("CERTIFICATE", &self.chain).with("KEY", &self.key)
    }

    /// A running app with so many processes.
    fn start(&self, count: usize) -> App {
        App::start_with(&format!("answer=first count={count}"), |program| self.give(program))
    }

    fn client(&self, address: SocketAddr) -> Client {
        Dialler::new(&self.authority, address).dial().expect("a connection")
    }

    /// The certificate that a new connection is shown, and the process that answers there.
    fn shown(&self, address: SocketAddr) -> (CertificateDer<'static>, u32) {
        let mut client = self.client(address);
        let answer = ask(&mut client, "/");
        (certificate_of(&client), answer_in(&answer).1)
    }
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// Makes TLS connections that trust an authority.
#[derive(Clone)]
struct Dialler {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Dialler {
    fn new(authority: &Authority, address: SocketAddr) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        Self { address, config: Arc::new(config) }
    }

    /// The hello leaves in two halves, so that there are always some in the middle of it.
    fn dial(&self) -> io::Result<Client> {
        let name = "localhost".try_into().expect("a name");
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut socket = try_connect(self.address)?;
        let mut hello = Vec::new();
        connection.write_tls(&mut hello)?;
        let (first, second) = hello.split_at(hello.len() / 2);
        socket.write_all(first)?;
        thread::sleep(Duration::from_millis(5));
        socket.write_all(second)?;
        Ok(StreamOwned::new(connection, socket))
    }
}

fn certificate_of(client: &Client) -> CertificateDer<'static> {
    client.conn.peer_certificates().expect("it has shown one")[0].clone().into_owned()
}

fn begin(client: &mut Client, path: &str) {
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the request is sent");
}

/// The rest of an answer that ends with a line.
fn line(client: &mut Client) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") || answer.ends_with(b"\r\n") {
        let mut buffer = [0; 1024];
        let count = client.read(&mut buffer).expect("an answer");
        assert!(count > 0, "the end after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(answer).expect("text")
}

fn ask(client: &mut Client, path: &str) -> String {
    begin(client, path);
    line(client)
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not tested: it takes root");
    }
    root
}

#[test]
fn screens_say_that_it_is_ssl() {
    let files = Files::new();
    // At an address of this machine that nobody else has in mind: a daemon does not tell which port it has been given.
    let [_, first, second, third] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, 64 + first % 32, second, third], 8443));
    let program = files.give(Program::new("generation")).with("ADDRESS", address.to_string());
    let (code, banner, errors) = program.run(&["start", "-d"]);
    assert_eq!(code, 0, "{banner}{errors}");
    let row = banner.lines().find(|line| line.contains("[OK]")).unwrap_or_else(|| panic!("no row: {banner}"));
    assert!(row.contains(" ssl "), "{banner}");
    let mut client = files.client(address);
    let (_, process) = answer_in(&ask(&mut client, "/"));
    let (_, screen, _) = program.run(&["connections"]);
    let row = screen.lines().find(|line| line.contains("ESTABLISHED")).unwrap_or_else(|| panic!("no row: {screen}"));
    assert!(row.starts_with(&process.to_string()) && row.contains(" ssl ") && row.contains(" Http "), "{screen}");
    assert_eq!(program.run(&["stop"]).0, 0);
}

#[test]
fn files_that_are_wrong_keep_it_from_starting_and_are_named() {
    let files = Files::new();
    files.break_key();
    let key = files.key.display().to_string();
    for (count, words) in [(1, &["start"][..]), (2, &["start"]), (1, &["start", "-d"]), (2, &["start", "-d"])] {
        let program = files.give(Program::new("operated")).with("COUNT", count.to_string());
        let (code, output, errors) = program.run(words);
        assert_eq!(code, 1, "{count} {words:?}: {output}{errors}");
        let named = errors.contains(&key) && errors.contains("not that of the certificate in");
        assert!(named, "{count} {words:?}: {errors}");
        assert!(program.processes().is_empty(), "{count} {words:?}");
    }
}

#[test]
fn a_reload_takes_new_certificates_and_what_has_begun_keeps_the_old_ones() {
    let files = Files::new();
    let app = files.start(2);
    let first = files.certificate();
    let (mut kept, mut late, mut large) =
        (files.client(app.address), files.client(app.address), files.client(app.address));
    ask(&mut kept, "/");
    begin(&mut late, "/late?seconds=0.6");
    begin(&mut large, "/large");
    let mut buffer = [0; 4096];
    let count = large.read(&mut buffer).expect("the beginning of an answer");
    assert!(buffer[..count].starts_with(b"HTTP/1.1 200 OK\r\n"));
    // Half a hello, and nothing behind it yet.
    let half = Dialler::new(&files.authority, app.address).dial().expect("a connection");

    let second = files.renew();
    assert_ne!(first, second);
    app.reload();
    let (shown, process) = files.shown(app.address);
    assert!(shown == second && app.workers().contains(&process));

    assert!(line(&mut late).contains("late") && certificate_of(&late) == first);
    let mut rest = Vec::new();
    large.read_to_end(&mut rest).expect("the whole of it, and an end that says so");
    assert!(count + rest.len() > 32 << 20 && certificate_of(&large) == first, "{}", rest.len());
    assert_eq!(kept.read(&mut buffer).expect("an end that says so"), 0);
    let mut half = half;
    assert!(ask(&mut half, "/").contains("first "));
    assert_eq!(certificate_of(&half), first, "whoever greets is who has accepted");
}

#[test]
fn a_reload_with_a_wrong_file_is_refused_and_the_old_certificates_stay() {
    let files = Files::new();
    let app = files.start(2);
    let first = files.certificate();
    let workers = app.workers();
    let mut kept = files.client(app.address);
    ask(&mut kept, "/");

    files.break_key();
    let reason = app.refused();
    assert!(reason.contains(&files.key.display().to_string()) && reason.contains("not that of"), "{reason}");
    fs::write(&files.chain, "half of a certific").expect("it can be written");
    let reason = app.refused();
    assert!(reason.contains(&files.chain.display().to_string()) && reason.contains("no certificate"), "{reason}");
    fs::remove_file(&files.chain).expect("it can be removed");
    assert!(app.refused().contains("No such file"));
    eventually("who was refused is gone", || app.workers() == workers);
    assert_eq!(files.shown(app.address).0, first);
    assert!(ask(&mut kept, "/").contains("first "), "nobody has noticed");

    // Who dies meanwhile has no certificate to come back with, until there is one.
    signal(workers[0], "KILL");
    eventually("it is told why", || app.log().contains("does not come up: TLS: "));
    let second = files.renew();
    app.has_processes(2);
    app.reload_when_possible();
    assert_eq!(files.shown(app.address).0, second);
}

#[test]
fn who_dies_comes_back_with_tls() {
    let files = Files::new();
    let app = files.start(2);
    for _ in 0..2 {
        let old = app.workers();
        old.iter().for_each(|worker| signal(*worker, "KILL"));
        eventually("they are replaced", || app.workers().iter().all(|worker| !old.contains(worker)));
        app.has_processes(2);
        assert!(app.workers().contains(&files.shown(app.address).1));
    }
}

#[test]
fn reloads_under_load_fail_nobody() {
    let files = Files::new();
    let app = files.start(2);
    let dialler = Dialler::new(&files.authority, app.address);
    let dial = move || Ok(Box::new(dialler.dial()?) as Box<dyn Stream>);
    let load = Load::start_by(dial, 8, 60);
    eventually("requests are answered", || load.requests() > 100);
    for _ in 0..5 {
        let old = app.workers();
        let new = files.renew();
        app.reload();
        assert_eq!(files.shown(app.address).0, new);
        eventually("the old ones are gone", || app.workers().iter().all(|worker| !old.contains(worker)));
    }
    let report = load.stop();
    assert!(report.failures.is_empty(), "{} of {}: {:?}", report.failures.len(), report.requests, report.failures);
    assert!(report.requests > 500 && report.closes > 50, "{} {}", report.requests, report.closes);
    assert!(!app.log().contains("are cut"), "{}", app.log());
}

#[test]
fn a_process_without_a_master_reads_its_files_again() {
    let files = Files::new();
    let program = files.give(Program::new("operated"));
    let log = program.directory().join("log");
    let program = program.with("LOG_FILE", &log);
    let process = Process::start(&mut program.command(&[]));
    let address = address_in(&process.line_after("start "));
    let shown = || {
        let mut client = files.client(address);
        ask(&mut client, "/");
        certificate_of(&client)
    };
    let mut kept = files.client(address);
    ask(&mut kept, "/");
    let (first, second) = (files.certificate(), files.renew());
    assert_eq!(shown(), first, "nobody has read them again");
    let (code, _, said) = program.run(&["reload"]);
    assert!(code == 1 && said.contains("cannot be replaced") && !said.contains("TLS"), "{said}");
    assert_eq!(shown(), second);
    let third = files.renew();
    process.signal("USR1");
    eventually("the signal does the same", || shown() == third);

    files.break_key();
    let (_, _, said) = program.run(&["reload"]);
    assert!(said.contains("the old certificates stay: TLS: ") && said.contains("not that of"), "{said}");
    assert_eq!(shown(), third);
    let log = fs::read_to_string(&log).expect("a log");
    assert_eq!(log.matches("the old certificates stay: TLS: ").count(), 1, "{log}");
    ask(&mut kept, "/");
    assert_eq!(certificate_of(&kept), first);
}

#[test]
fn a_key_that_only_root_may_read_serves_workers_of_another_user() {
    if !is_root() {
        return;
    }
    let files = Files::new();
    let lock = || fs::set_permissions(&files.key, Permissions::from_mode(0o600)).expect("it is ours");
    lock();
    let app = App::start_with("answer=first count=2", |program| files.give(program).with("WORKER_USER", "nobody"));
    assert_eq!(files.shown(app.address).0, files.certificate());
    let (old, new) = (app.workers(), files.renew());
    lock();
    app.reload();
    assert_eq!(files.shown(app.address).0, new);
    eventually("the old ones are gone", || app.workers().iter().all(|worker| !old.contains(worker)));
    signal(app.workers()[0], "KILL");
    eventually("it is replaced", || app.log().contains("SIGKILL"));
    app.has_processes(2);
    assert_eq!(files.shown(app.address).0, new);
    let log = app.log();
    assert!(!log.contains("the old certificates stay"), "who goes needs no new ones: {log}");
}
