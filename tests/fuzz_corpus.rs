//! The promise: what fuzzing has found worth keeping holds to what the fuzz targets ask, on a stable compiler.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

use std::fs;
use std::path::Path;

#[allow(unreachable_pub)] // a crate of its own for the fuzzer
#[path = "../fuzz/src/lib.rs"]
mod checks;

/// Runs a target over its corpus, and over each input cut short.
fn replay(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut count = 0;
    for file in files {
        let path = file.expect("the corpus can be read").path();
        let input = fs::read(&path).expect("the corpus can be read");
        assert!(input.len() < 4096, "{} is too large", path.display());
        for length in [input.len(), input.len() / 2, input.len().saturating_sub(1)] {
            if std::panic::catch_unwind(|| check(&input[..length])).is_err() {
                panic!("{target}: the first {length} bytes of {}", path.display());
            }
        }
        count += 1;
    }
    assert!((10..100).contains(&count), "{target}: {count} inputs");
}

#[test]
fn heads() {
    replay("head", checks::head);
}

#[test]
fn chunked_bodies() {
    replay("chunked", checks::chunked);
}

#[test]
fn events() {
    replay("sse", checks::sse);
}

#[test]
fn event_streams() {
    replay("event_stream", checks::event_stream);
}

#[test]
fn connections() {
    replay("http", checks::http);
}

#[test]
fn answers() {
    replay("http_response", checks::http_response);
}

#[test]
fn websockets() {
    replay("websocket", checks::websocket);
}

#[test]
fn websocket_clients() {
    replay("websocket_client", checks::websocket_client);
}

#[test]
fn handshakes() {
    replay("handshake", checks::handshake);
}

#[test]
fn forms() {
    replay("multipart", checks::multipart);
}

#[test]
fn parameters() {
    replay("params", checks::params);
}

#[test]
fn cookies() {
    replay("cookies", checks::cookies);
}

#[test]
fn conditions() {
    replay("conditions", checks::conditions);
}
