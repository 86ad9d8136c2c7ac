//! The load for servers that speak TLS: clients of TLS 1.3 on one thread, bounded in number and in time. Prints one line of
//! JSON.
//!
//! ```text
//! secure keep  PORT PID CLIENTS SECONDS     a browser's requests for /plaintext, on connections that are kept
//! secure shake PORT PID CLIENTS SECONDS     a full handshake, then the end, and again
//! secure hear  PORT PID CLIENTS SECONDS     the events of /sse
//! secure idle  PORT PID CLIENTS SECONDS     one request each, then nothing for so long
//! ```
//!
//! All use X25519 and AES-256-GCM, so that servers differ in what they do and not in what they choose; no session is resumed, and
//! no certificate is looked at. What the server takes is read from `/proc/PID` at both ends of the time that counts.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beside::Result;
use beside::taken::Taken;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const WARM_UP: Duration = Duration::from_millis(500);

const REQUEST: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\nCache-Control: max-age=0\r\n\
    Cookie: sid=0123456789abcdef; theme=dark; lang=en\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
    Upgrade-Insecure-Requests: 1\r\nConnection: keep-alive\r\n\r\n";
const SUBSCRIPTION: &str = "GET /sse HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";

#[derive(Clone)]
struct Load {
    port: u16,
    connector: TlsConnector,
    /// How often what is measured was done.
    count: Rc<Cell<u64>>,
    /// So many connections stand.
    standing: Rc<Cell<usize>>,
    failure: Rc<Cell<Option<String>>>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, port, pid, clients, seconds] = arguments.as_slice() else { return Err("usage".into()) };
    let load = Load {
        port: port.parse()?,
        connector: connector()?,
        count: Rc::default(),
        standing: Rc::default(),
        failure: Rc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, load.run(mode, pid, clients.parse()?, Duration::from_secs_f64(seconds.parse()?)))
}

fn connector() -> Result<TlsConnector> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let config =
        ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Load {
    async fn run(self, mode: &str, pid: &str, clients: usize, time: Duration) -> Result<()> {
        let empty = Taken::by(pid)?;
        for _ in 0..clients {
            let (load, what) = (self.clone(), mode.to_owned());
            spawn_local(async move {
                let result = match &*what {
                    "keep" => load.keep(u64::MAX).await,
                    "idle" => load.keep(1).await,
                    "shake" => load.shake().await,
                    _ => load.hear().await,
                };
                if let Err(error) = result {
                    load.failure.set(Some(error.to_string()));
                }
            });
            if mode != "shake" {
                // Not all at once: the server is to be measured when they stand.
                tokio::task::yield_now().await;
            }
        }
        while mode != "shake" && self.standing.get() < clients {
            self.sleep(Duration::from_millis(10)).await?;
        }
        self.sleep(WARM_UP).await?;
        let (began, before, count) = (Instant::now(), Taken::by(pid)?, self.count.get());
        self.sleep(time).await?;
        let (took, after, count) = (began.elapsed().as_secs_f64(), Taken::by(pid)?, self.count.get() - count);
        let cpu = (after.nanoseconds - before.nanoseconds) as f64;
        println!(
            "{{\"count\":{count},\"cpu_us\":{:.3},\"per_second\":{:.0},\"per_cpu_second\":{:.0},\"busy\":{:.3},\"bytes_client\":{}}}",
            cpu / 1e3 / count.max(1) as f64,
            count as f64 / took,
            count as f64 / cpu * 1e9,
            cpu / 1e9 / took,
            after.rss.saturating_sub(empty.rss) * 1024 / clients as u64,
        );
        Ok(())
    }

    /// Fails when a client has.
    async fn sleep(&self, time: Duration) -> Result<()> {
        sleep(time).await;
        self.failure.take().map_or(Ok(()), |failure| Err(failure.into()))
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let stream = self.connector.connect(name, stream).await?;
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Full) => Ok(stream),
            kind => Err(io::Error::other(format!("{kind:?} is no full handshake"))),
        }
    }

    async fn keep(&self, requests: u64) -> io::Result<()> {
        let mut stream = self.connect().await?;
        let mut buffer = [0; 4096];
        for nth in 0..requests {
            stream.write_all(REQUEST.as_bytes()).await?;
            let mut filled = 0;
            while !buffer[..filled].ends_with(b"Hello, World!") {
                match stream.read(&mut buffer[filled..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => filled += count,
                }
            }
            self.count.set(self.count.get() + 1);
            if nth == 0 {
                self.standing.set(self.standing.get() + 1);
            }
        }
        let count = stream.read(&mut buffer).await?;
        Err(io::Error::other(format!("{count} bytes for a client that has asked for nothing")))
    }

    async fn shake(&self) -> io::Result<()> {
        loop {
            let mut stream = self.connect().await?;
            stream.shutdown().await?;
            self.count.set(self.count.get() + 1);
        }
    }

    async fn hear(&self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        stream.write_all(SUBSCRIPTION.as_bytes()).await?;
        let mut buffer = vec![0; 64 * 1024];
        let mut last = 0;
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if last == 0 {
                self.standing.set(self.standing.get() + 1);
            }
            for &byte in &buffer[..count] {
                // An event ends with an empty line; the framing around it has CRLF only.
                self.count.set(self.count.get() + u64::from(last == b'\n' && byte == b'\n'));
                last = byte;
            }
        }
    }
}

/// Trusts everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
