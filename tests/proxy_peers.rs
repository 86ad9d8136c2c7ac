//! Promise: a client reaches its server through the proxies of others, SOCKS5 and HTTP CONNECT, and is told in plain words when
//! these refuse.

mod outside;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use outside::{Peer, Told, free_address, installed, read_until};
use workerman::Text;

/// microsocks, with a user and a password if there are any.
fn socks(user: Option<&str>) -> Peer {
    Peer::start("socks", |address, _| {
        let mut command = installed("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &address.port().to_string()]);
        if let Some((user, password)) = user.and_then(|user| user.split_once(':')) {
            command.args(["-u", user, "-P", password]);
        }
        command
    })
}

/// tinyproxy, which lets everybody through to where `rules` permit, or who `rules` name.
fn tinyproxy(rules: &str) -> Peer {
    Peer::start("tinyproxy", |address, directory| {
        let file = directory.join("tinyproxy.conf");
        let text = format!("Port {}\nListen 127.0.0.1\nMaxClients 10\n{rules}\n", address.port());
        std::fs::write(&file, text).expect("a file can be made");
        let mut command = installed("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        command
    })
}

/// Echoes one line, in upper case.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let line = read_until(&mut stream, "\n");
            stream.write_all(line.to_uppercase().as_bytes()).expect("it listens");
        }
    });
    address
}

/// A client of this server through this proxy, which says one thing.
fn through(proxy: &str, server: &str) -> Told {
    let proxy = proxy.to_owned();
    Told::by::<Text>(&format!("text://{server}"), move |client| {
        client.set_proxy(&proxy);
        client.send("hello");
    })
}

fn is_answered(proxy: &str, server: &str) {
    let client = through(proxy, server);
    assert_eq!([client.next(), client.next()], ["connect", "HELLO"], "{proxy} {server}");
    client.ends();
}

#[test]
fn socks_leads_to_a_number_and_to_a_name() {
    let (proxy, server) = (socks(None), server());
    is_answered(&format!("socks5://{}", proxy.address), &server.to_string());
    is_answered(&format!("socks5://{}", proxy.address), &format!("localhost:{}", server.port()));
    is_answered(&format!("socks5://any:body@{}", proxy.address), &server.to_string());
}

#[test]
fn socks_wants_to_know_who_asks() {
    let (proxy, server) = (socks(Some("ann:s3cret")), server());
    is_answered(&format!("socks5://ann:s3cret@{}", proxy.address), &server.to_string());
    let rows = [
        ("", "SOCKS5: the proxy wants a user and a password"),
        ("ann:wrong@", "SOCKS5: the user or the password is wrong"),
        ("bob:s3cret@", "SOCKS5: the user or the password is wrong"),
    ];
    for (user, reason) in rows {
        through(&format!("socks5://{user}{}", proxy.address), &server.to_string()).fails(&format!("seconds: {reason}"));
    }
}

#[test]
fn what_a_proxy_cannot_reach_is_told() {
    let (dead, socks) = (free_address(), socks(None));
    let proxy = format!("socks5://{}", socks.address);
    through(&proxy, &dead.to_string()).fails("seconds: SOCKS5: connection refused");
    // Its name is the proxy's to find.
    through(&proxy, "nothing.invalid:1").fails("connect text://nothing.invalid:1 fail after");
    through(&format!("socks5://{dead}"), &server().to_string())
        .fails("seconds: the proxy cannot be reached: Connection refused");
}

#[test]
fn connect_leads_to_a_number_and_to_a_name() {
    let (proxy, server) = (tinyproxy(""), server());
    is_answered(&format!("http://{}", proxy.address), &server.to_string());
    is_answered(&format!("http://{}", proxy.address), &format!("localhost:{}", server.port()));
}

#[test]
fn connect_wants_to_know_who_asks_and_where_to() {
    let (proxy, server) = (tinyproxy("BasicAuth ann s3cret"), server());
    is_answered(&format!("http://ann:s3cret@{}", proxy.address), &server.to_string());
    // It says 407 to whoever names nobody, and 401 to whoever is wrong.
    for (user, reason) in [("", "the proxy says 407 "), ("ann:wrong@", "the proxy says 401 ")] {
        let client = through(&format!("http://{user}{}", proxy.address), &server.to_string());
        let error = client.fails(reason);
        assert!(!error.contains("wrong"), "no password is told: {error}");
    }
    let picky = tinyproxy("ConnectPort 443");
    through(&format!("http://{}", picky.address), &server.to_string()).fails("the proxy says 403 ");
    let dead = free_address();
    let open = tinyproxy("");
    through(&format!("http://{}", open.address), &dead.to_string()).fails("the proxy says 50");
}

#[test]
fn bytes_that_come_with_the_answer_of_a_proxy_are_the_servers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let proxy = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let asked = read_until(&mut stream, "\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nwelc").expect("it listens");
        stream.write_all(b"ome\n").expect("it listens");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("it ends");
        (asked, rest)
    });
    let client = Told::by::<Text>("text://example.invalid:1234", move |client| {
        client.set_proxy(&format!("http://{address}"));
        client.on_message(move |client, line| {
            assert_eq!(line, "welcome");
            client.send("thanks");
            client.close();
        });
    });
    assert_eq!(client.next(), "connect");
    client.ends();
    let (asked, rest) = proxy.join().expect("the proxy ends");
    assert!(asked.starts_with("CONNECT example.invalid:1234 HTTP/1.1\r\nHost: example.invalid:1234\r\n"), "{asked}");
    assert_eq!(rest, "thanks\n");
}
