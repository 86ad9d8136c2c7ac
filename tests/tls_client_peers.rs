//! Promise: a client with TLS finds nginx, OpenSSL and Redis, and trusts nobody that it should not; whatever keeps it from its
//! server is told once, in words that a person understands.

#![cfg(feature = "_tls")]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "outside/certificates.rs"]
mod certificates;
mod outside;
#[path = "protocols/resp.rs"]
mod resp;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use certificates::{Authority, Pair};
use outside::{Peer, Told, installed, now, receive};
use resp::Resp;
use workerman::{Tcp, Text, TlsClientOptions, TlsVersion};

/// `openssl s_server`, which gives back each line the wrong way round.
fn s_server(pair: &Pair, arguments: &[&str]) -> Peer {
    Peer::start("s_server", |address, _| {
        let mut command = installed("openssl");
        command.args(["s_server", "-rev", "-accept", &address.to_string()]).args(arguments);
        command
            .arg("-cert")
            .arg(&pair.certificate)
            .arg("-cert_chain")
            .arg(&pair.certificate)
            .arg("-key")
            .arg(&pair.key);
        command
    })
}

fn trusting(authority: &Authority) -> TlsClientOptions {
    TlsClientOptions::new().ca_file(authority.file())
}

/// A client of the server on this port, by this name, which says one thing.
fn client_of(host: &str, port: u16, options: TlsClientOptions) -> Told {
    Told::by::<Text>(&format!("ssl://{host}:{port}"), move |client| {
        client.set_transport_ssl(options);
        client.set_connect_timeout(5);
        client.send("hello");
    })
}

fn is_answered(client: &Told) {
    assert_eq!([client.next(), client.next()], ["connect", "olleh"]);
}

#[test]
fn openssl_is_understood_in_both_versions_with_either_kind_of_key() {
    let authority = Authority::new();
    let names = ["localhost", "127.0.0.1"];
    for pair in [authority.sign(&names), authority.rsa(&names), authority.chain(&names)] {
        for (argument, version) in [("-tls1_2", "TLSv1_2"), ("-tls1_3", "TLSv1_3")] {
            let server = s_server(&pair, &[argument]);
            for host in names {
                let (tell, told) = mpsc::channel();
                let options = trusting(&authority);
                let client = Told::by::<Text>(&format!("ssl://{host}:{}", server.address.port()), move |client| {
                    client.set_transport_ssl(options);
                    client.on_connect(move |client| {
                        let _ = tell.send(client.connection().and_then(|connection| connection.tls()));
                        client.send("hello");
                    });
                });
                assert_eq!(client.next(), "olleh");
                let agreed = receive("what was agreed on", &told).expect("it speaks TLS");
                assert_eq!(agreed.version, version);
                assert!(!agreed.peer_certificates.is_empty());
            }
        }
    }
}

#[test]
fn certificates_that_are_not_good_are_refused_each_in_words_of_its_own() {
    let (authority, other, namesake) = (Authority::new(), Authority::named("Another one"), Authority::new());
    let names = ["localhost"];
    let rows = [
        (authority.expired(&names), "it has expired"),
        (authority.not_yet_valid(&names), "it is not valid yet"),
        (authority.self_signed(&names), "is it self-signed?"),
        (other.sign(&names), "nobody who is trusted here has signed it"),
        (namesake.sign(&names), "only has the name of one who is trusted"),
        (authority.sign(&["other.test", "a.test"]), "it is for other.test, a.test, not for localhost"),
        (authority.sign(&["127.0.0.1"]), "it is for 127.0.0.1, not for localhost"),
        (authority.client("localhost"), "it is for another purpose"),
    ];
    for (pair, word) in &rows {
        let server = s_server(pair, &[]);
        let error = client_of("localhost", server.address.port(), trusting(&authority)).fails(word);
        assert!(error.contains(&format!("connect ssl://localhost:{} fail", server.address.port())), "{error}");
        // Who has asked for it in as many words gets it.
        let careless = trusting(&authority).danger_accept_invalid_certs(true);
        is_answered(&client_of("localhost", server.address.port(), careless));
    }
    // Nobody trusts this authority unless told to.
    let server = s_server(&authority.sign(&names), &[]);
    client_of("localhost", server.address.port(), TlsClientOptions::new()).fails("signed");
    // Another name than that of the address, because the app says so.
    let server = s_server(&rows[5].0, &[]);
    is_answered(&client_of("127.0.0.1", server.address.port(), trusting(&authority).server_name("other.test")));
}

#[test]
fn a_file_that_is_wrong_is_told_by_its_name() {
    let authority = Authority::new();
    let (pair, other) = (authority.sign(&["localhost"]), authority.client("ann"));
    let server = s_server(&pair, &[]);
    let empty = authority.write("empty.pem", "");
    let none = authority.directory().join("none.pem");
    let rows = [
        (TlsClientOptions::new().ca_file(&none), &none, "No such file"),
        (TlsClientOptions::new().ca_file(&empty), &empty, "no certificate"),
        (trusting(&authority).certificate(&other.certificate, &pair.key), &pair.key, "not that of the certificate"),
    ];
    for (options, file, reason) in rows {
        let error = client_of("localhost", server.address.port(), options).fails(reason);
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}

#[test]
fn there_is_no_way_back_to_old_versions() {
    let authority = Authority::new();
    let pair = authority.sign(&["localhost"]);
    let server = s_server(&pair, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    client_of("localhost", server.address.port(), trusting(&authority)).fails("version");
    let server = s_server(&pair, &["-tls1_2"]);
    let options = trusting(&authority).min_version(TlsVersion::Tls13);
    client_of("localhost", server.address.port(), options).fails("version");
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let (pair, own) = (authority.sign(&["localhost"]), authority.client("ann"));
    let ca = authority.file().display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let server = s_server(&pair, &[version, "-Verify", "1", "-verify_return_error", "-CAfile", &ca]);
        let port = server.address.port();
        is_answered(&client_of("localhost", port, trusting(&authority).certificate(&own.certificate, &own.key)));
        // With TLS 1.3 the client stands before the server has looked: it hears of it right after.
        let client = client_of("localhost", port, trusting(&authority));
        let first = client.next();
        assert!(first == "connect" || first.ends_with("it wants a certificate of ours"), "{first}");
        let next = client.next();
        if next != "close" {
            assert_eq!(next, "3 TLS: the peer refuses: it wants a certificate of ours");
            client.ends();
        }
    }
}

#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new();
    let pair = authority.sign(&["localhost"]);
    let server = s_server(&pair, &["-alpn", "two,one"]);
    let (tell, told) = mpsc::channel();
    let options = trusting(&authority).alpn(["one", "three"]);
    let client = Told::by::<Text>(&format!("ssl://localhost:{}", server.address.port()), move |client| {
        client.set_transport_ssl(options);
        client.on_connect(move |client| {
            let _ = tell.send(client.connection().and_then(|connection| connection.tls()));
        });
    });
    let agreed = receive("what was agreed on", &told).expect("it speaks TLS");
    assert_eq!(agreed.alpn.as_deref(), Some(&b"one"[..]));
    drop(client); // it serves one after the other
    client_of("localhost", server.address.port(), trusting(&authority).alpn(["three"])).fails("ALPN");
}

/// A server that treats each client so.
fn server(treat: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            treat(stream);
        }
    });
    address
}

#[test]
fn a_server_that_spoils_the_handshake_is_told_of_once() {
    let fails = |treat: fn(TcpStream), part: &str| {
        client_of("localhost", server(treat).port(), TlsClientOptions::new()).fails(part);
    };
    // It reads the hello, then goes: by RST, by FIN.
    fails(
        |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        },
        "reset",
    );
    fails(|mut stream| drop(stream.read(&mut [0; 4096])), "in the middle of the TLS handshake");
    // It speaks something else, at once or when it does not understand.
    fails(|mut stream| drop(stream.write_all(b"220 mail.example.com ESMTP\r\n")), "220 mail.example.com");
    fails(
        |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        },
        "does not speak TLS",
    );
    // It speaks something that begins like TLS.
    fails(|mut stream| drop(stream.write_all(b"\x16\x03\x03\x00\x04nope")), "TLS");
    fails(|mut stream| drop(stream.write_all(b"\x15\x03\x03\x00\x02\x02\x28")), "TLS");
}

#[test]
fn a_server_that_never_says_hello_takes_as_long_as_it_may_and_no_longer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let start = now();
    let client = Told::by::<Text>(&format!("ssl://127.0.0.1:{port}"), |client| client.set_connect_timeout(0.3));
    client.fails("it takes too long");
    let took = start.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// nginx with TLS for these, the first for whoever asks for no name that it knows.
fn nginx(pairs: &[(&str, &Pair)], files: &Path) -> Peer {
    let server = |(name, pair): &(&str, &Pair)| {
        let [certificate, key, files] = [&pair.certificate, &pair.key, files].map(|path| path.display());
        format!(
            "server {{ listen 127.0.0.1:@PORT@ ssl; server_name {name}; root {files};
               ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
               location = /name {{ return 200 \"{name} $ssl_protocol $ssl_server_name\\n\"; }} }}"
        )
    };
    Peer::nginx(&pairs.iter().map(server).collect::<String>())
}

/// Asks nginx for a path by this name; the head and the body of its answer.
fn ask(nginx: &Peer, options: TlsClientOptions, host: &str, path: &str) -> (String, Vec<u8>) {
    let (tell, told) = mpsc::channel();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _client = Told::by::<Tcp>(&format!("ssl://127.0.0.1:{}", nginx.address.port()), move |client| {
        client.set_transport_ssl(options);
        client.on_message(move |_, bytes| drop(tell.send(bytes)));
        client.send(request);
    });
    while let Ok(bytes) = told.recv_timeout(outside::PATIENCE) {
        answer.extend(bytes);
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        if answer.len() == end + 4 + length.parse::<usize>().expect("a number") {
            return (head, answer.split_off(end + 4));
        }
    }
    panic!("no whole answer but {} bytes", answer.len());
}

#[test]
fn nginx_answers_by_the_name_that_it_is_asked_for() {
    let authority = Authority::new();
    let (a, b) = (authority.sign(&["a.test"]), authority.rsa(&["b.test"]));
    let nginx = nginx(&[("a.test", &a), ("b.test", &b)], authority.directory());
    for name in ["a.test", "b.test"] {
        let (head, body) = ask(&nginx, trusting(&authority).server_name(name), name, "/name");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert_eq!(String::from_utf8_lossy(&body), format!("{name} TLSv1.3 {name}\n"));
    }
    client_of("127.0.0.1", nginx.address.port(), trusting(&authority)).fails("a.test");
}

#[test]
fn a_large_file_comes_whole() {
    let authority = Authority::new();
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(authority.directory().join("large"), &content).expect("a file can be made");
    let nginx = nginx(&[("a.test", &authority.sign(&["127.0.0.1"]))], authority.directory());
    let (head, body) = ask(&nginx, trusting(&authority), "a.test", "/large");
    assert!(body == content, "{head}, {} bytes", body.len());
}

#[test]
fn redis_answers_by_tls_what_it_is_asked_in_one_go() {
    let authority = Authority::new();
    let pair = authority.sign(&["127.0.0.1"]);
    let redis = Peer::start("redis", |address, directory| {
        let mut command = installed("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &address.port().to_string(), "--save", ""]);
        command.args(["--tls-auth-clients", "no", "--dir"]).arg(directory);
        command.arg("--tls-cert-file").arg(&pair.certificate).arg("--tls-key-file").arg(&pair.key);
        command.arg("--tls-ca-cert-file").arg(authority.file());
        command
    });
    let options = trusting(&authority);
    let large = "x".repeat(300_000);
    let sent = large.clone();
    let client = Told::by::<Resp>(&format!("ssl://{}", redis.address), move |client| {
        client.set_transport_ssl(options);
        client.on_connect(move |client| {
            for number in 0..500 {
                client.send(format!("SET key{number} value{number}"));
                client.send(format!("GET key{number}"));
            }
            client.send(format!("SET large {sent}"));
            client.send("GET large".to_owned());
        });
    });
    for number in 0..500 {
        assert_eq!([client.next(), client.next()], ["OK".to_owned(), format!("value{number}")]);
    }
    assert_eq!([client.next(), client.next()], ["OK".to_owned(), large]);
}
