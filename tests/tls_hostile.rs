//! Promise: a peer whose records are in order, and whose use of them is not, harms itself alone.

#![cfg(feature = "_tls")]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "outside/certificates.rs"]
mod certificates;
mod outside;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use certificates::Authority;
use outside::{Server, receive};
use rustls::crypto::aws_lc_rs;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedCipherSuite,
};
use workerman::{SendStatus, Timer, TlsOptions};

const SUITE: SupportedCipherSuite = aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;

/// A server, and word of each late answer.
fn serve(authority: &Authority) -> (Server, Receiver<SendStatus>) {
    let pair = authority.sign(&["localhost"]);
    let (tell, answered) = mpsc::channel();
    let server = Server::start(move |worker| {
        worker.set_transport_ssl(TlsOptions::new(&pair.certificate, &pair.key));
        worker.on_message(move |connection, request| {
            let tell = tell.clone();
            match request.path() {
                "/late" => _ = Timer::delay(0.2, move || _ = tell.send(connection.send("late"))),
                _ => _ = connection.send("at once"),
            }
        });
    });
    (server, answered)
}

/// rustls by itself, once it has shaken hands.
fn client(server: &Server, authority: &Authority) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).expect("PEM")).expect("a root");
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![SUITE];
    let config = ClientConfig::builder_with_provider(Arc::new(provider));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).expect("a version");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.enable_secret_extraction = true;
    let name = "localhost".try_into().expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = outside::connect(server.address);
    while connection.is_handshaking() || connection.wants_write() {
        connection.complete_io(&mut stream).expect("a handshake");
    }
    StreamOwned::new(connection, stream)
}

/// Makes records of anything, where rustls would refuse to.
struct Sealer {
    stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    number: u64,
}

impl Sealer {
    fn new(client: StreamOwned<ClientConnection, TcpStream>) -> Self {
        let StreamOwned { conn, sock } = client;
        let (number, secrets) = conn.dangerous_extract_secrets().expect("secrets").tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another suite") };
        let SupportedCipherSuite::Tls13(suite) = SUITE else { panic!("another version") };
        Self { stream: sock, encrypter: suite.aead_alg.encrypter(key, iv), number }
    }

    fn seal(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message =
            OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: OutboundChunks::Single(payload) };
        let sealed = self.encrypter.encrypt(message, self.number).expect("it is sealed").encode();
        self.number += 1;
        sealed
    }

    fn send(&mut self, typ: ContentType, payload: &[u8]) {
        let sealed = self.seal(typ, payload);
        self.stream.write_all(&sealed).expect("it is sent");
    }
}

fn is_served(server: &Server, authority: &Authority) {
    let mut client = client(server, authority);
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("\r\n\r\nat once"), "{answer}");
}

#[test]
fn an_answer_leaves_in_the_middle_of_a_message_of_the_handshakes_kind() {
    let authority = Authority::new();
    let (server, answered) = serve(&authority);
    let mut peer = Sealer::new(client(&server, &authority));
    peer.send(ContentType::ApplicationData, b"GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The beginning of a KeyUpdate, whose end does not come.
    peer.send(ContentType::Handshake, &[24, 0]);
    assert_eq!(receive("word of the answer", &answered), SendStatus::Sent);
    is_served(&server, &authority);
    // The last of it is a kind of update that there is none of.
    peer.send(ContentType::Handshake, &[0, 1, 77]);
    let _ = peer.stream.read_to_end(&mut Vec::new());
    is_served(&server, &authority);
}

#[test]
fn records_without_anything_in_them_keep_nobody_waiting() {
    let authority = Authority::new();
    let (server, _) = serve(&authority);
    let mut peer = Sealer::new(client(&server, &authority));
    let nothing: Vec<u8> = (0..1000).flat_map(|_| peer.seal(ContentType::ApplicationData, b"")).collect();
    let _ = peer.stream.write_all(&nothing);
    // It is let go, by an alert or a reset.
    let end = peer.stream.read_to_end(&mut Vec::new());
    assert!(end.as_ref().map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true), "{end:?}");
    is_served(&server, &authority);
}
