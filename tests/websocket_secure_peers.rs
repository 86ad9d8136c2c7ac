//! Promise: a client of WebSocket talks with another implementation of it, plain and by TLS; and TLS goes through proxies.

#![cfg(feature = "_tls")]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "outside/certificates.rs"]
mod certificates;
mod outside;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use certificates::{Authority, Pair};
use outside::{PATIENCE, Peer, Told, installed, receive};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message as Theirs, WebSocket};
use workerman::{Text, TlsClientOptions, Ws};

/// What a server has heard, in the order of it.
type Heard = Receiver<String>;

/// One guest of tungstenite, over what `wrap` makes of the stream: the path, then messages, which it gives back.
fn tungstenite<S: Read + Write>(wrap: impl FnOnce(TcpStream) -> S + Send + 'static) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (tell, heard) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("somebody comes");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        let greet = |request: &Request, mut answer: Response| {
            let wanted = request.headers().get("Sec-WebSocket-Protocol").cloned();
            let _ = tell.send(format!("{} for {:?}", request.uri(), request.headers()["host"]));
            if let Some(wanted) = wanted {
                answer.headers_mut().insert("Sec-WebSocket-Protocol", wanted);
            }
            Ok(answer)
        };
        match tungstenite::accept_hdr(wrap(stream), greet) {
            Ok(socket) => serve(socket, |heard| _ = tell.send(heard)),
            Err(error) => _ = tell.send(format!("no handshake: {error}")),
        }
    });
    (address, heard)
}

fn serve<S: Read + Write>(mut socket: WebSocket<S>, tell: impl Fn(String)) {
    socket.send(Theirs::Ping("there?".into())).expect("it is sent");
    loop {
        match socket.read() {
            Ok(Theirs::Text(text)) if text.as_str() == "enough" => {
                let farewell = CloseFrame { code: 4001.into(), reason: "as you wish".into() };
                socket.close(Some(farewell)).expect("it is sent");
            }
            Ok(message @ (Theirs::Text(_) | Theirs::Binary(_))) => socket.send(message).expect("it is sent"),
            Ok(message) => tell(format!("{message:?}")),
            Err(error) => return tell(error.to_string()),
        }
    }
}

/// rustls by itself, with this certificate.
fn rustls_with(pair: &Pair) -> impl FnOnce(TcpStream) -> StreamOwned<ServerConnection, TcpStream> + Send + 'static {
    let chain = CertificateDer::pem_file_iter(&pair.certificate).expect("PEM").map(|own| own.expect("a certificate"));
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(chain.collect(), key).expect("a pair");
    move |stream| StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("a server"), stream)
}

/// Talks about all there is to talk about.
fn talk(address: &str, options: TlsClientOptions, heard: &Heard) {
    let (tell, told) = mpsc::channel();
    let lengths = [0, 125, 126, 65_535, 65_536, 1_000_000];
    let client = Told::by::<Ws>(address, move |client| {
        let bye = tell.clone();
        client.set_transport_ssl(options);
        client.set_protocols(&["chat"]);
        client.on_websocket_connect(move |client, _| {
            lengths.iter().for_each(|length| _ = client.send(vec![7_u8; *length]));
        });
        client.on_message(move |client, message| {
            let _ = tell.send(format!("back {}", message.len()));
            if message.len() == lengths[lengths.len() - 1] {
                client.send("enough");
            }
        });
        client.on_websocket_close(move |_, code, reason| _ = bye.send(format!("bye {code} {reason}")));
    });
    assert_eq!(client.next(), "connect");
    for length in lengths {
        assert_eq!(receive("an echo", &told), format!("back {length}"));
    }
    assert_eq!(receive("the farewell", &told), "bye 4001 as you wish");
    client.ends();
    let host = address.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an authority");
    assert_eq!(receive("a handshake", heard), format!("/chat?room=1 for {host:?}"));
    assert!(receive("a pong", heard).starts_with("Pong("));
}

#[test]
fn tungstenite_is_talked_with() {
    let (address, heard) = tungstenite(|stream| stream);
    talk(&format!("ws://{address}/chat?room=1"), TlsClientOptions::new(), &heard);
}

#[test]
fn tungstenite_is_talked_with_by_tls() {
    let authority = Authority::new();
    let (address, heard) = tungstenite(rustls_with(&authority.sign(&["localhost"])));
    let options = TlsClientOptions::new().ca_file(authority.file());
    talk(&format!("wss://localhost:{}/chat?room=1", address.port()), options, &heard);
}

#[test]
fn nothing_is_said_to_a_server_whose_certificate_is_wrong() {
    let authority = Authority::new();
    let (address, heard) = tungstenite(rustls_with(&authority.sign(&["other.test"])));
    let options = TlsClientOptions::new().ca_file(authority.file());
    let client =
        Told::by::<Ws>(&format!("wss://localhost:{}/", address.port()), |client| client.set_transport_ssl(options));
    client.fails("it is for other.test, not for localhost");
    assert!(receive("the end of the handshake", &heard).starts_with("no handshake: "));
}

#[test]
fn tls_is_spoken_with_the_server_behind_a_proxy() {
    let authority = Authority::new();
    let pair = authority.sign(&["localhost"]);
    let server = Peer::start("s_server", |address, _| {
        let mut command = installed("openssl");
        command.args(["s_server", "-rev", "-accept", &address.to_string()]);
        command.arg("-cert").arg(&pair.certificate).arg("-key").arg(&pair.key);
        command
    });
    let socks = Peer::start("socks", |address, _| {
        let mut command = installed("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &address.port().to_string(), "-u", "ann", "-P", "s3cret"]);
        command
    });
    let tinyproxy = Peer::start("tinyproxy", |address, directory| {
        let text = format!("Port {}\nListen 127.0.0.1\nMaxClients 10\n", address.port());
        let file = directory.join("tinyproxy.conf");
        std::fs::write(&file, text).expect("a file can be made");
        let mut command = installed("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        command
    });
    for proxy in [format!("socks5://ann:s3cret@{}", socks.address), format!("http://{}", tinyproxy.address)] {
        let options = TlsClientOptions::new().ca_file(authority.file());
        let client = Told::by::<Text>(&format!("ssl://localhost:{}", server.address.port()), move |client| {
            client.set_proxy(&proxy);
            client.set_transport_ssl(options);
            client.send("hello");
        });
        assert_eq!([client.next(), client.next()], ["connect", "olleh"]);
    }
}
