//! Promise: a worker with TLS is understood by OpenSSL and curl, in all that they ask for; and whoever does not speak TLS, or
//! never finishes to say hello, costs nobody else anything.

#![cfg(feature = "_tls")]
#![allow(clippy::cast_possible_truncation, clippy::indexing_slicing)] // a failing index fails the test

#[path = "outside/certificates.rs"]
mod certificates;
mod outside;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use certificates::{Authority, Pair};
use outside::{Server, TemporaryDirectory, eventually, finish, installed, now, read_to_end, receive};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use workerman::{Deadlines, Http, Response, Timer, TlsOptions, TlsVersion, Worker};

fn options(pair: &Pair) -> TlsOptions {
    TlsOptions::new(&pair.certificate, &pair.key)
}

/// What most tests here talk to.
fn serve(options: TlsOptions) -> Server {
    Server::start(move |worker| {
        worker.set_transport_ssl(options);
        worker.on_message(|connection, request| match request.path() {
            "/echo" => drop(connection.send(request.raw_body())),
            "/late" => {
                Timer::delay(0.1, move || connection.send("late ".repeat(100_000)));
            }
            "/tls" => {
                let agreed = connection.tls().expect("it speaks TLS");
                let (shown, alpn) = (agreed.peer_certificates.len(), agreed.alpn.unwrap_or_default());
                connection.send(format!("{} {shown} {}", agreed.version, String::from_utf8_lossy(&alpn)));
            }
            path => drop(connection.send(format!("this is {path}\n"))),
        });
    })
}

/// `openssl s_client`, which checks the server's certificate and asks for a path. Its exit code, and all that it says.
fn s_client(server: &Server, authority: &Authority, path: &str, arguments: &[&str]) -> (i32, String) {
    let directory = TemporaryDirectory::new("s_client");
    let request = directory.0.join("request");
    fs::write(&request, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        .expect("a file can be made");
    let mut command = installed("openssl");
    command.args(["s_client", "-ign_eof", "-verify_return_error", "-connect", &server.address.to_string()]);
    command.arg("-CAfile").arg(authority.file()).args(arguments);
    let (code, output, errors) = finish(command.stdin(File::open(request).expect("it is there")));
    (code, output + &errors)
}

#[test]
fn openssl_shakes_hands_in_both_versions_with_either_kind_of_key() {
    let authority = Authority::new();
    for pair in [authority.sign(&["localhost"]), authority.rsa(&["localhost"]), authority.chain(&["localhost"])] {
        let server = serve(options(&pair));
        for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let (code, said) = s_client(&server, &authority, "/page", &[option, "-verify_hostname", "localhost"]);
            assert_eq!(code, 0, "{said}");
            assert!(said.contains(&format!("New, {version}, Cipher is ")), "{said}");
            assert!(said.contains("Verify return code: 0 (ok)") && said.contains("this is /page\n"), "{said}");
        }
        let (code, said) = s_client(&server, &authority, "/page", &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
        assert!(code != 0 && said.contains("alert"), "{said}");
    }
}

#[test]
fn the_oldest_version_is_the_apps_to_choose() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])).min_version(TlsVersion::Tls13));
    let (code, said) = s_client(&server, &authority, "/", &["-tls1_2"]);
    assert!(code != 0 && said.contains("alert protocol version"), "{said}");
    let (code, said) = s_client(&server, &authority, "/tls", &["-tls1_3"]);
    assert!(code == 0 && said.contains("TLSv1_3 0 "), "{said}");
}

#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    for (offered, agreed) in [("http/1.1", true), ("h2,http/1.1", true), ("h2", false)] {
        let (code, said) = s_client(&server, &authority, "/tls", &["-alpn", offered]);
        if agreed {
            assert!(code == 0 && said.contains("ALPN protocol: http/1.1") && said.contains("0 http/1.1"), "{said}");
        } else {
            assert!(code != 0 && said.contains("alert no application protocol"), "{said}");
        }
    }
    let (code, said) = s_client(&server, &authority, "/page", &[]);
    assert!(code == 0 && said.contains("No ALPN negotiated") && said.contains("this is /page"), "{said}");
}

#[test]
fn who_asks_by_name_gets_the_certificate_for_it() {
    let authority = Authority::new();
    let (a, b) = (authority.sign(&["a.test"]), authority.sign(&["b.test", "*.b.test"]));
    let server = serve(options(&a).certificate(&b.certificate, &b.key));
    let rows = [("a.test", "a.test"), ("b.test", "b.test"), ("x.b.test", "x.b.test"), ("c.test", "a.test")];
    for (asked, shown) in rows {
        let (code, said) = s_client(&server, &authority, "/p", &["-servername", asked, "-verify_hostname", shown]);
        assert!(code == 0 && said.contains("this is /p"), "{asked}: {said}");
    }
    let (code, said) = s_client(&server, &authority, "/p", &["-noservername", "-verify_hostname", "a.test"]);
    assert!(code == 0 && said.contains("this is /p"), "{said}");
}

#[test]
fn a_client_has_to_show_a_certificate_where_one_is_wanted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = authority.sign(&["localhost"]);
    let (known, stranger) = (authority.client("ann"), other.client("bob"));
    let (wanted, optional) = (options(&pair).client_ca(authority.file()), options(&pair));
    let (wanted, optional) = (serve(wanted), serve(optional.client_ca_optional(authority.file())));
    for version in ["-tls1_2", "-tls1_3"] {
        let show = |server: &Server, pair: &Pair| {
            let [certificate, key] = [&pair.certificate, &pair.key].map(|path| path.display().to_string());
            s_client(server, &authority, "/tls", &[version, "-cert", &certificate, "-key", &key])
        };
        for (server, nobody) in [(&wanted, false), (&optional, true)] {
            let (code, said) = show(server, &known);
            assert!(code == 0 && said.contains(" 1 "), "{version}: {said}");
            let (_, said) = show(server, &stranger);
            assert!(!said.contains("HTTP/1.1 200") && said.contains("alert"), "{version}: {said}");
            let (_, said) = s_client(server, &authority, "/tls", &[version]);
            assert_eq!(said.contains("HTTP/1.1 200"), nobody, "{version}: {said}");
        }
    }
}

#[test]
fn a_session_is_resumed() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let file = authority.directory().join("session").display().to_string();
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (code, said) = s_client(&server, &authority, "/one", &[option, "-sess_out", &file]);
        assert!(code == 0 && said.contains(&format!("New, {version}")), "{said}");
        let (code, said) = s_client(&server, &authority, "/two", &[option, "-sess_in", &file]);
        assert!(code == 0 && said.contains(&format!("Reused, {version}")) && said.contains("this is /two"), "{said}");
    }
}

/// curl, which knows the server by the name `localhost`. What it puts out, and what it says with `-v`.
fn curl(server: &Server, authority: &Authority, paths: &[&str], arguments: &[&str]) -> (String, String) {
    let mut command = installed("curl");
    command.args(["-sSv", "--noproxy", "*", "--max-time", "20", "--cacert"]).arg(authority.file()).args(arguments);
    command.arg("--resolve").arg(format!("localhost:{}:127.0.0.1", server.address.port()));
    command.args(paths.iter().map(|path| format!("https://localhost:{}{path}", server.address.port())));
    let (code, output, talk) = finish(&mut command);
    assert_eq!(code, 0, "{talk}");
    (output, talk)
}

#[test]
fn curl_asks_for_two_pages_on_one_connection() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let (output, talk) = curl(&server, &authority, &["/one", "/two"], &["-w", "connects: %{num_connects}\n"]);
    assert_eq!(output, "this is /one\nconnects: 1\nthis is /two\nconnects: 0\n", "{talk}");
    assert!(talk.contains("server accepted http/1.1"), "{talk}");
}

#[test]
fn curl_gets_back_the_8_mib_that_it_posts() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let file = authority.directory().join("body");
    let body: Vec<u8> = (0..2_000_000_u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(&file, &body).expect("a file can be made");
    let (data, copy) = (format!("@{}", file.display()), authority.directory().join("copy"));
    for version in ["1.2", "1.3"] {
        let output = copy.display().to_string();
        let only = ["--tls-max", version, "--data-binary", &data, "-H", "Expect:", "-o", &output];
        let (_, talk) = curl(&server, &authority, &["/echo"], &only);
        assert!(fs::read(&copy).expect("curl has written it") == body, "{talk}");
    }
}

#[test]
fn curl_downloads_a_large_file_whole_and_in_parts() {
    let authority = Authority::new();
    let pair = authority.sign(&["localhost"]);
    let content: Vec<u8> = (0..8_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let (file, copy) = (authority.directory().join("file.bin"), authority.directory().join("copy"));
    fs::write(&file, &content).expect("a file can be made");
    let server = Server::start(move |worker| {
        worker.set_transport_ssl(options(&pair));
        worker.on_message(move |connection, request| connection.send(Response::file(&request, &file)));
    });
    let output = copy.display().to_string();
    let (_, talk) = curl(&server, &authority, &["/"], &["-o", &output]);
    assert!(fs::read(&copy).expect("curl has written it") == content, "{talk}");
    let (_, talk) =
        curl(&server, &authority, &["/"], &["-o", &output, "-r", "1000001-28999999", "--limit-rate", "80M"]);
    assert!(fs::read(&copy).expect("curl has written it") == content[1_000_001..29_000_000], "{talk}");
}

/// rustls by itself, on a connection to the server.
fn rustls_to(address: SocketAddr, authority: &Authority) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    StreamOwned::new(connection, outside::connect(address))
}

#[test]
fn a_client_that_closes_its_half_gets_its_late_answer_whole() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let mut client = rustls_to(server.address, &authority);
    client.write_all(b"GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
    client.conn.send_close_notify();
    client.flush().expect("it is sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the server says that this is all");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "late ".repeat(100_000), "{head} {}", body.len());
}

#[test]
fn a_hello_in_several_records_is_understood() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let mut client = rustls_to(server.address, &authority);
    let mut hello = Vec::new();
    client.conn.write_tls(&mut hello).expect("a vector takes it");
    for part in hello[5..].chunks(50) {
        let record = [&[0x16, 3, 1, 0, part.len() as u8], part].concat();
        client.sock.write_all(&record).expect("it is sent");
        std::thread::sleep(Duration::from_millis(2)); // so that they come one by one
    }
    client.write_all(b"GET /parts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the server says that this is all");
    assert!(answer.ends_with("\r\n\r\nthis is /parts\n"), "{answer}");
}

#[test]
fn bytes_that_come_one_by_one_are_understood() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let mut client = rustls_to(server.address, &authority);
    while client.conn.is_handshaking() {
        let mut hello = Vec::new();
        while client.conn.wants_write() {
            client.conn.write_tls(&mut hello).expect("a vector takes it");
        }
        for byte in hello {
            client.sock.write_all(&[byte]).expect("it is sent");
        }
        if client.conn.wants_read() && client.conn.is_handshaking() {
            client.conn.read_tls(&mut client.sock).expect("an answer");
            client.conn.process_new_packets().expect("it is TLS");
        }
    }
    for byte in b"GET /slowly HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" {
        client.write_all(&[*byte]).expect("it is sent");
        client.flush().expect("it is sent");
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the server says that this is all");
    assert!(answer.ends_with("\r\n\r\nthis is /slowly\n"), "{answer}");
}

#[test]
fn who_speaks_without_tls_is_told_and_harms_nobody() {
    let authority = Authority::new();
    let server = serve(options(&authority.sign(&["localhost"])));
    let mut browser = server.connect();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
    let answer = read_to_end(&mut browser);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https"), "{answer}");
    // Among them half a hello with something else behind it.
    let half = b"\x16\x03\x01\0\x05\x01\0\0\x20\x03\x50\x03\x01\0\0";
    for garbage in [&b"hello\n"[..], b"\0", half, b"\x16\x03\x01\0\x05hello", b"\x16\x03\x01\xff\xff", &[0x80; 70_000]]
    {
        let mut client = server.connect();
        let _ = client.write_all(garbage);
        let _ = client.shutdown(Shutdown::Write);
        // An alert, a reset or an end: but an end.
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"));
    }
    assert!(s_client(&server, &authority, "/still", &[]).1.contains("this is /still"));
}

#[test]
fn who_never_finishes_to_say_hello_is_let_go() {
    let authority = Authority::new();
    let (sender, events) = mpsc::channel();
    let pair = authority.sign(&["localhost"]);
    let server = Server::start(move |worker| {
        worker.set_transport_ssl(options(&pair));
        worker.set_deadlines(Deadlines::default().handshake(0.3));
        let close = sender.clone();
        worker.on_connect(move |_| _ = sender.send("connect"));
        worker.on_close(move |_| _ = close.send("close"));
        worker.on_message(|connection, _| connection.send("ok"));
    });
    // Nothing, the beginning of a record, and the beginning of a hello that is well-formed so far.
    let begun = [&b""[..], b"\x16\x03", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"];
    let start = now();
    let mut clients: Vec<TcpStream> = begun
        .iter()
        .cycle()
        .take(60)
        .map(|bytes| {
            let mut client = server.connect();
            client.write_all(bytes).expect("it is sent");
            client
        })
        .collect();
    // Meanwhile others are served.
    assert!(s_client(&server, &authority, "/", &[]).1.contains("HTTP/1.1 200"));
    for client in &mut clients {
        let _ = client.read_to_end(&mut Vec::new());
    }
    let took = start.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_secs(10)).contains(&took), "{took:?}");
    // Of those, the app has not been told: they were never connected.
    assert_eq!([receive("a connect", &events), receive("its end", &events)], ["connect", "close"]);
    assert!(events.recv_timeout(Duration::from_millis(50)).is_err());
}

#[test]
fn files_that_are_wrong_are_an_error_that_names_them() {
    let authority = Authority::new();
    let (good, other) = (authority.sign(&["localhost"]), authority.sign(&["localhost"]));
    let encrypted = authority.encrypted(&good);
    let (none, empty) = (authority.directory().join("none.pem"), authority.write("empty.pem", ""));
    let garbage = authority.write("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let rows: [(&Path, &Path, &Path, &str); 8] = [
        (&none, &good.key, &none, "No such file"),
        (&good.certificate, &none, &none, "No such file"),
        (&empty, &good.key, &empty, "no certificate"),
        (&good.key, &good.key, &good.key, "no certificate"),
        (&garbage, &good.key, &garbage, ""),
        (&good.certificate, &good.certificate, &good.certificate, "key"),
        (&good.certificate, &other.key, &other.key, "not that of the certificate"),
        (&good.certificate, &encrypted.key, &encrypted.key, "encrypted"),
    ];
    for (certificate, key, named, reason) in rows {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let error = std::thread::spawn(move || {
            let worker = Worker::<Http>::new("http://127.0.0.1:0");
            worker.set_transport_ssl(TlsOptions::new(certificate, key));
            worker.on_worker_start(|_| panic!("it must not start"));
            Worker::run_all().expect_err("the files are wrong").to_string()
        });
        let error = error.join().expect("no panic");
        assert!(error.contains(&named.display().to_string()) && error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn connections_that_end_in_any_way_leave_nothing_behind() {
    let authority = Authority::new();
    let (sender, events) = mpsc::channel();
    let pair = authority.sign(&["localhost"]);
    let server = Server::start(move |worker| {
        worker.set_transport_ssl(options(&pair));
        worker.on_message(|connection, _| connection.send("ok"));
        worker.on_close(move |_| _ = sender.send(()));
    });
    let before = outside::descriptors("self");
    for how in 0..30 {
        let mut client = rustls_to(server.address, &authority);
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
        client.read_exact(&mut [0; 15]).expect("an answer");
        match how % 3 {
            0 => {
                client.conn.send_close_notify();
                let _ = client.flush();
            }
            1 => socket2::SockRef::from(&client.sock).set_linger(Some(Duration::ZERO)).expect("linger can be set"),
            _ => {} // an end without a word
        }
        drop(client);
        receive("the end of a connection", &events);
    }
    eventually("as many descriptors as before", || outside::descriptors("self") <= before);
    assert!(events.recv_timeout(Duration::from_millis(50)).is_err(), "one end for each connection");
}
