//! A peer for requests and event streams, with TLS or without: hyper, tokio and rustls on one thread, the allocator mimalloc.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// So many events wait for a subscriber.
const WAITING: usize = 16;

type Subscribers = Rc<RefCell<Vec<mpsc::Sender<Bytes>>>>;
type Answer = Response<Either<Full<Bytes>, Events>>;

/// An event stream.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

/// Serves on `PORT` until it is killed, with TLS if `TLS_CERTIFICATE` and `TLS_KEY` name files. `SSE_INTERVAL_MS` and
/// `SSE_SIZE` are the period and the size of the event that goes to every subscriber of `/sse`.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> Result<()> {
    let acceptor = match (std::env::var("TLS_CERTIFICATE"), std::env::var("TLS_KEY")) {
        (Ok(certificate), Ok(key)) => Some(acceptor(&certificate, &key)?),
        _ => None,
    };
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], variable("PORT", 8080)).into())?;
    let listener = socket.listen(4096)?;
    let subscribers = Subscribers::default();
    spawn_local(publish(Rc::clone(&subscribers)));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let subscribers = Rc::clone(&subscribers);
        match acceptor.clone() {
            None => drop(spawn_local(talk(stream, subscribers))),
            Some(acceptor) => drop(spawn_local(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream, subscribers).await;
                }
            })),
        }
    }
}

fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<std::result::Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = config.with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, subscribers: Subscribers) {
    let service = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&request, &subscribers))));
    let _ = http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service).await;
}

fn answer(request: &Request<Incoming>, subscribers: &Subscribers) -> Answer {
    let (kind, body) = match request.uri().path() {
        "/plaintext" => ("text/plain", Either::Left(Full::from("Hello, World!"))),
        "/sse" => {
            let (sender, events) = mpsc::channel(WAITING);
            subscribers.borrow_mut().push(sender);
            ("text/event-stream", Either::Right(Events(events)))
        }
        _ => ("", Either::Left(Full::default())),
    };
    let mut answer = Response::new(body);
    match kind {
        "" => *answer.status_mut() = StatusCode::NOT_FOUND,
        kind => drop(answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind))),
    }
    answer
}

/// Sends an event to everybody, again and again.
async fn publish(subscribers: Subscribers) {
    let mut ticks = interval(Duration::from_secs_f64(variable("SSE_INTERVAL_MS", 100.0) / 1000.0));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let event = Bytes::from(format!("data: {}\n\n", "x".repeat(variable::<usize>("SSE_SIZE", 100).saturating_sub(8))));
    loop {
        ticks.tick().await;
        subscribers.borrow_mut().retain(|subscriber| {
            !matches!(subscriber.try_send(event.clone()), Err(mpsc::error::TrySendError::Closed(_)))
        });
    }
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
