//! Promise: a client asks real servers as it asks those of the tests: nginx, this crate's own, and those that never answer.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[cfg(feature = "_tls")]
#[path = "outside/certificates.rs"]
mod certificates;
mod outside;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use outside::{Peer, Program, Server, ask, connect, receive};
use socket2::{Domain, Socket, Type};
use workerman::{ClientResponse, HttpClient, HttpError, LoopHandle, RequestOptions, Worker};

type Answer = Result<ClientResponse, HttpError>;

/// A loop on a thread of its own, where this is done; and what it tells.
struct Asking {
    answers: Receiver<Answer>,
    handle: LoopHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Asking {
    fn begin(work: impl FnOnce(mpsc::Sender<Answer>) + Send + 'static) -> Self {
        let ((tell, answers), (handles, handle)) = (mpsc::channel(), mpsc::channel());
        let thread = thread::spawn(move || {
            work(tell);
            let _ = handles.send(LoopHandle::current());
            Worker::run_all().expect("the loop ends without an error");
        });
        let handle = receive("the loop", &handle);
        Self { answers, handle, thread: Some(thread) }
    }

    /// Asks for one address after the other.
    fn one_by_one(client: impl FnOnce() -> HttpClient + Send + 'static, urls: Vec<String>) -> Self {
        fn next(http: HttpClient, mut urls: std::vec::IntoIter<String>, tell: mpsc::Sender<Answer>) {
            if let Some(url) = urls.next() {
                http.get(&url, move |answer| {
                    let _ = tell.send(answer);
                    next(http, urls, tell);
                });
            }
        }
        Self::begin(move |tell| next(client(), urls.into_iter(), tell))
    }

    fn next(&self) -> Answer {
        receive("an answer", &self.answers)
    }

    fn response(&self) -> ClientResponse {
        self.next().unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.handle.run(Worker::stop_all);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Late and hard to compress.
fn long_text() -> String {
    (0..200_000_u32).map(|number| format!("{}\n", number.wrapping_mul(2_654_435_761))).collect()
}

/// nginx with a few files, which closes each connection after three requests.
fn nginx() -> Peer {
    let peer = Peer::nginx(
        "default_type text/plain; keepalive_requests 3; gzip on; gzip_types text/plain; gzip_min_length 1000;
         server {
             listen 127.0.0.1:@PORT@; root @DIR@;
             location = /moved { return 301 /small.txt; }
             location = /round { return 302 /round; }
         }",
    );
    fs::write(peer.directory.0.join("small.txt"), "from nginx\n").expect("a file");
    fs::write(peer.directory.0.join("long.txt"), long_text()).expect("a file");
    peer
}

#[test]
fn nginx_answers_more_requests_than_it_keeps_a_connection_for() {
    let nginx = nginx();
    let urls = (0..10).map(|_| format!("http://{}/small.txt", nginx.address)).collect();
    let asking = Asking::one_by_one(|| HttpClient::new().max_conn_per_addr(1), urls);
    for _ in 0..10 {
        let response = asking.response();
        assert_eq!((response.status(), &*response.text()), (200, "from nginx\n"));
        assert!(response.header("server").is_some_and(|server| server.starts_with("nginx")));
    }
}

#[test]
fn nginx_redirects_denies_and_packs() {
    let nginx = nginx();
    let base = format!("http://{}", nginx.address);
    let paths = ["/moved", "/round", "/missing", "/long.txt"];
    let asking = Asking::one_by_one(HttpClient::new, paths.map(|path| format!("{base}{path}")).into());
    let moved = asking.response();
    assert_eq!((&*moved.text(), moved.url()), ("from nginx\n", &*format!("{base}/small.txt")));
    assert!(matches!(asking.next(), Err(HttpError::Redirect(_))));
    assert_eq!(asking.response().status(), 404);
    let long = asking.response();
    let expected = if cfg!(feature = "compression") { Some("gzip") } else { None };
    assert_eq!(long.header("content-encoding"), expected);
    assert!(long.text() == long_text());
}

#[test]
fn what_nginx_has_is_taken_in_pieces_as_fast_as_wanted() {
    let nginx = nginx();
    let url = format!("http://{}/long.txt", nginx.address);
    let (tell, pieces) = mpsc::channel();
    let asking = Asking::begin(move |done| {
        let options = RequestOptions::new().header("Accept-Encoding", "identity").on_chunk(move |request, piece| {
            let _ = tell.send(piece.to_vec());
            request.pause();
            workerman::Timer::delay(0.001, move || request.resume());
        });
        HttpClient::new().request(&url, options, move |answer| drop(done.send(answer)));
    });
    assert!(asking.response().body().is_empty());
    let pieces: Vec<Vec<u8>> = pieces.try_iter().collect();
    assert!(pieces.len() > 10 && pieces.iter().all(|piece| piece.len() <= 128 << 10), "{}", pieces.len());
    assert!(pieces.concat() == long_text().into_bytes());
}

#[test]
fn a_server_of_this_crate_is_asked_by_many_at_once() {
    let server = Server::start(|worker| {
        worker.on_message(|connection, request| {
            let text = format!("{} {} {}", request.method(), request.path(), request.raw_body().len());
            connection.send(text)
        });
    });
    let base = server.url("/");
    let asking = Asking::begin(move |tell| {
        for number in 0..500_usize {
            let tell = tell.clone();
            let url = format!("{base}{number}");
            HttpClient::new().post(&url, vec![b'x'; number * 100], move |answer| drop(tell.send(answer)));
        }
    });
    let mut texts: Vec<String> = (0..500).map(|_| asking.response().text().into_owned()).collect();
    texts.sort();
    let mut expected: Vec<String> = (0..500).map(|number| format!("POST /{number} {}", number * 100)).collect();
    expected.sort();
    assert_eq!(texts, expected);
}

#[test]
fn whoever_is_not_there_is_told_of_in_words() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let urls = vec![format!("http://{closed}/"), "http://name.invalid/".to_owned()];
    let asking = Asking::one_by_one(HttpClient::new, urls);
    let refused = asking.next().expect_err("nobody listens");
    assert!(refused.to_string().contains("Connection refused"), "{refused}");
    let unknown = asking.next().expect_err("nobody has this name");
    assert!(matches!(unknown, HttpError::Connect(_)), "{unknown}");
}

#[test]
fn a_connection_that_takes_too_long_to_come_about_is_given_up() {
    // A queue of one, which is full: the system answers nobody else.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("an address");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    let _first = connect(address);
    let asking = Asking::one_by_one(|| HttpClient::new().connect_timeout(0.2), vec![format!("http://{address}/"); 2]);
    let error = asking.next().expect_err("nobody answers");
    assert!(error.to_string().contains("takes too long"), "{error}");
}

#[test]
fn a_server_that_says_nothing_has_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let asking = Asking::one_by_one(|| HttpClient::new().timeout(0.2), vec![url]);
    let (mut stream, _) = listener.accept().expect("it comes");
    assert_eq!(asking.next(), Err(HttpError::Timeout));
    let mut heard = String::new();
    let _ = stream.read_to_string(&mut heard);
    assert!(heard.starts_with("GET / HTTP/1.1\r\n"), "and the connection has ended: {heard}");
}

#[test]
fn a_server_that_breaks_off_has_given_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let asking = Asking::one_by_one(HttpClient::new, vec![url]);
    let (mut stream, _) = listener.accept().expect("it comes");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all").expect("it listens");
    drop(stream);
    assert!(matches!(asking.next(), Err(HttpError::Closed(_))));
}

#[test]
fn the_example_answers_with_what_another_server_says() {
    let (_process, address) = Program::new("http_client").serve();
    let mut browser = connect(address);
    assert!(ask(&mut browser, "/?city=Rome", "\n").contains("The weather: rain in Rome"));
    assert!(ask(&mut browser, "/", "Paris\n").contains("200 OK"));
    let copy = ask(&mut browser, "/copy", "\r\n0\r\n\r\n");
    assert_eq!(copy.matches("0123456789abcdef").count(), 1 << 16);
}

#[cfg(feature = "_tls")]
#[test]
fn nginx_is_asked_by_tls_and_nobody_else_is_trusted() {
    let authority = certificates::Authority::new();
    let pair = authority.sign(&["127.0.0.1"]);
    let nginx = Peer::nginx(&format!(
        "keepalive_requests 3;
         server {{
             listen 127.0.0.1:@PORT@ ssl; root @DIR@;
             ssl_certificate {}; ssl_certificate_key {};
             location = /plain {{ return 302 http://127.0.0.1:@PORT@/; }}
             location = /moved {{ return 301 /small.txt; }}
         }}",
        pair.certificate.display(),
        pair.key.display()
    ));
    fs::write(nginx.directory.0.join("small.txt"), "by TLS\n").expect("a file");
    let (base, file) = (format!("https://{}", nginx.address), authority.file());
    let asking = Asking::begin(move |tell| {
        let trusting = HttpClient::new().transport_ssl(workerman::TlsClientOptions::new().ca_file(file));
        let (tell_of_all, tell_of_plain) = (tell.clone(), tell.clone());
        let plain = format!("{base}/plain");
        let all = vec![format!("{base}/moved"); 7];
        let strict = format!("{base}/small.txt");
        fn next(http: HttpClient, mut urls: Vec<String>, tell: mpsc::Sender<Answer>, then: Box<dyn FnOnce()>) {
            let Some(url) = urls.pop() else { return then() };
            http.get(&url, move |answer| {
                let _ = tell.send(answer);
                next(http, urls, tell, then);
            });
        }
        let last = move || {
            trusting.get(&plain, move |answer| {
                let _ = tell_of_plain.send(answer);
                // Its connections are there, and are not for whoever does not trust this server.
                HttpClient::new().get(&strict, move |answer| drop(tell.send(answer)));
            });
        };
        next(trusting, all, tell_of_all, Box::new(last));
    });
    for _ in 0..7 {
        assert_eq!(asking.response().text(), "by TLS\n");
    }
    let plain = asking.next().expect_err("not to where everybody reads along");
    assert!(plain.to_string().contains("from https to http"), "{plain}");
    assert!(matches!(asking.next(), Err(HttpError::Connect(_))));
}
