//! Ways from a client to a worker, all alike to who tests a protocol: memory, TCP, Unix sockets, and TLS over each.
//!
//! Server and client take turns on one thread. Nothing is timed; but what the kernel does with TCP, it may do a moment later.

#![allow(dead_code)] // each test file uses some of it

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, TlsOptions, Worker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Memory,
    Tcp,
    Unix,
    TlsInMemory,
    Tls,
    TlsOverUnix,
}

impl Way {
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::TlsInMemory | Self::Tls | Self::TlsOverUnix)
    }

    /// A worker that is reached this way, and its loop.
    pub(crate) fn serve<P: Codec>(self, set_up: impl FnOnce(Worker<P>)) -> Server<P> {
        let directory = tempfile::tempdir().expect("a directory");
        let address = match self {
            Self::Memory | Self::TlsInMemory => String::new(),
            Self::Tcp | Self::Tls => "tcp://127.0.0.1:0".to_owned(),
            Self::Unix | Self::TlsOverUnix => format!("unix://{}/socket", directory.path().display()),
        };
        let simulation = Simulation::new();
        let worker = Worker::<P>::new(&address);
        if self.is_encrypted() {
            let (certificate, key) = certificate().files();
            worker.set_transport_ssl(TlsOptions::new(certificate, key));
            if self == Self::TlsInMemory {
                worker.reload_certificates().expect("good files");
            }
        }
        set_up(worker);
        simulation.start().expect("a worker that starts");
        Server { worker, simulation, way: self, directory }
    }
}

pub(crate) struct Server<P> {
    pub(crate) worker: Worker<P>,
    pub(crate) simulation: Simulation,
    way: Way,
    directory: tempfile::TempDir,
}

impl<P: Codec> Server<P> {
    /// A client whose connection stands.
    pub(crate) fn connect(&self) -> Client {
        let mut client = self.dial();
        self.run(&mut client);
        client
    }

    /// A client that has not said anything yet.
    pub(crate) fn dial(&self) -> Client {
        let below: Box<dyn Below> = match self.way {
            Way::Memory | Way::TlsInMemory => Box::new(self.simulation.connect(self.worker)),
            Way::Tcp | Way::Tls => {
                let stream = TcpStream::connect(self.worker.local_addr().expect("an address")).expect("a connection");
                stream.set_nonblocking(true).expect("no waiting");
                Box::new(stream)
            }
            Way::Unix | Way::TlsOverUnix => {
                let stream = UnixStream::connect(self.directory.path().join("socket")).expect("a connection");
                stream.set_nonblocking(true).expect("no waiting");
                Box::new(stream)
            }
        };
        let tls = self.way.is_encrypted().then(|| certificate().client());
        let (leaving, come) = (Vec::new(), Vec::new());
        Client { below, tls, leaving, come, most: usize::MAX, at_a_time: usize::MAX, end: None }
    }

    /// Lets both go on until neither has anything more to do.
    pub(crate) fn run(&self, client: &mut Client) {
        let mut idle = 0;
        while idle < 5 {
            self.simulation.run();
            idle = if client.go_on() { 0 } else { idle + 1 };
            if idle > 1 {
                client.below.wait();
            }
        }
    }

    /// Sends bytes; answers what has come once it is at least so much. The kernel may take its time with much.
    pub(crate) fn exchange_much(&self, client: &mut Client, bytes: impl AsRef<[u8]>, length: usize) -> Vec<u8> {
        client.write(bytes);
        for _ in 0..500 {
            self.run(client);
            if client.come.len() >= length || client.end.is_some() {
                break;
            }
        }
        client.take()
    }

    /// Sends bytes; answers what has come by then.
    pub(crate) fn exchange(&self, client: &mut Client, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        client.write(bytes);
        self.run(client);
        client.take()
    }
}

/// How a connection has ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server has said that there is nothing more: what has come is all there was.
    Orderly,
    /// It was reset, or ended where TLS has no end.
    Abrupt,
}

pub(crate) struct Client {
    below: Box<dyn Below>,
    tls: Option<ClientConnection>,
    leaving: Vec<u8>,
    come: Vec<u8>,
    most: usize,
    at_a_time: usize,
    end: Option<End>,
}

impl Client {
    /// As if there were no TLS.
    pub(crate) fn write_below(&mut self, bytes: impl AsRef<[u8]>) {
        self.below.send(bytes.as_ref()).expect("room");
    }

    /// What has come, as if there were no TLS.
    pub(crate) fn take_below(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 16];
        let count = self.below.receive(&mut buffer).unwrap_or(0);
        buffer.truncate(count);
        buffer
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        match &mut self.tls {
            None => self.leaving.extend_from_slice(bytes.as_ref()),
            Some(tls) => tls.writer().write_all(bytes.as_ref()).expect("room"),
        }
        self.go_on();
    }

    /// What has come.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.come)
    }

    /// Reads no more than so many bytes at a time, ciphertext where there is such.
    pub(crate) fn read_at_most(&mut self, bytes: usize) {
        self.most = bytes;
    }

    /// Sends no more than so many bytes at a time, ciphertext where there is such.
    pub(crate) fn send_at_most(&mut self, bytes: usize) {
        self.at_a_time = bytes;
    }

    /// Says that nothing more will come from here.
    pub(crate) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.go_on();
        self.below.finish();
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    pub(crate) fn tls(&self) -> &ClientConnection {
        self.tls.as_ref().expect("an encrypted way")
    }

    /// Sends and reads what it can; answers whether that was anything.
    pub(crate) fn go_on(&mut self) -> bool {
        let sent = self.send();
        let received = if self.end.is_none() { self.receive() } else { false };
        self.send() || sent || received
    }

    fn send(&mut self) -> bool {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.leaving).expect("memory");
            }
        }
        let count = self.leaving.len().min(self.at_a_time);
        let count = self.below.send(&self.leaving[..count]).unwrap_or(0);
        self.leaving.drain(..count);
        count > 0
    }

    fn receive(&mut self) -> bool {
        let mut buffer = vec![0; self.most.min(1 << 16)];
        let mut bytes = match self.below.receive(&mut buffer) {
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => {
                self.end = Some(End::Abrupt);
                return true;
            }
        };
        let ended = bytes.is_empty();
        let Some(tls) = &mut self.tls else {
            self.come.extend_from_slice(bytes);
            self.end = ended.then_some(End::Orderly);
            return true;
        };
        loop {
            let _ = tls.read_tls(&mut bytes);
            tls.process_new_packets().expect("TLS");
            match tls.reader().read_to_end(&mut self.come) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(_) => self.end = Some(End::Orderly),
                Err(_) => self.end = Some(End::Abrupt),
            }
            if bytes.is_empty() || self.end.is_some() {
                return true;
            }
        }
    }
}

/// What carries the bytes.
trait Below {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn finish(&mut self);
    /// For what others do meanwhile.
    fn wait(&self) {}
}

impl Below for Peer {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            Self::write(self, bytes);
        }
        Ok(bytes.len())
    }

    fn receive(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.read_at_most(buffer.len());
        if bytes.is_empty() && !self.is_finished() {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer.write(&bytes)
    }

    fn finish(&mut self) {
        Self::finish(self);
    }
}

macro_rules! below_a_socket {
    ($stream:ty, $moment:literal) => {
        impl Below for $stream {
            fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Write::write(self, bytes)
            }

            fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Read::read(self, buffer)
            }

            fn finish(&mut self) {
                let _ = self.shutdown(Shutdown::Write);
            }

            fn wait(&self) {
                std::thread::sleep(std::time::Duration::from_millis($moment));
            }
        }
    };
}

below_a_socket!(TcpStream, 3);
below_a_socket!(UnixStream, 0);

/// A certificate that is its own authority, for `localhost`; made once for all tests of a program.
pub(crate) struct Certificate {
    directory: tempfile::TempDir,
    der: CertificateDer<'static>,
}

pub(crate) fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("certificate.pem"), made.cert.pem()).expect("a file");
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
        Certificate { directory, der: made.cert.into() }
    })
}

impl Certificate {
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        (self.directory.path().join("certificate.pem"), self.directory.path().join("key.pem"))
    }

    /// The server's end of a connection, for a client of ours.
    pub(crate) fn server(&self) -> rustls::ServerConnection {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(self.files().1).expect("a key");
        let config = builder.expect("versions").with_no_client_auth().with_single_cert(vec![self.der.clone()], key);
        rustls::ServerConnection::new(Arc::new(config.expect("a pair"))).expect("a server")
    }

    /// A client that trusts it.
    pub(crate) fn client(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        client.set_buffer_limit(None);
        client
    }
}
