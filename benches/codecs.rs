//! What the HTTP codec takes by itself: `cargo bench --bench codecs`.

#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use workerman::testing::bench::Conversation;
use workerman::{Response, ServerSentEvents};

const MINIMAL: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// What a browser sends, with line feeds only.
const BROWSER: &str = include_str!("browser.http");

fn decode(criterion: &mut Criterion) {
    let chunked = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("400\r\n{}\r\n", "b".repeat(1024)).repeat(16)
    );
    let browser = BROWSER.replace('\n', "\r\n");
    let mut group = criterion.benchmark_group("decode");
    for (name, bytes) in [("minimal", MINIMAL), ("browser", &browser), ("16 chunks of 1 KiB", &chunked)] {
        assert!(Conversation::default().receive(bytes.as_bytes()).is_some(), "{name} is a whole request");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                Conversation::default,
                |conversation| conversation.receive(black_box(bytes.as_bytes())),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn asked() -> Conversation {
    let mut conversation = Conversation::default();
    assert!(conversation.receive(MINIMAL.as_bytes()).is_some());
    // The first answer takes the buffer that all others use again.
    assert!(conversation.send("ok") > 0);
    assert!(conversation.receive(MINIMAL.as_bytes()).is_some());
    conversation
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let answer = || Response::new(200, &[("Content-Type", "text/plain")], "Hello, World!");
    group.bench_function("response", |bencher| {
        bencher.iter_batched_ref(asked, |conversation| conversation.send(answer()), BatchSize::SmallInput);
    });

    let mut stream = asked();
    assert!(stream.send(Response::new(200, &[("Content-Type", "text/event-stream")], "")) > 0);
    let data = "x".repeat(92);
    let event = || ServerSentEvents::new().data(&data);
    group.bench_function("event, made and sent to one", |bencher| {
        bencher.iter(|| stream.send(black_box(event())));
    });
    let prepared = event();
    assert!(stream.send(&prepared) > data.len());
    group.bench_function("event, prepared for many", |bencher| {
        bencher.iter(|| stream.send(black_box(&prepared)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = decode, encode
}
criterion_main!(benches);
