//! Reads a stream of events and hands them on: one connection to the source, any number of subscribers here. With
//! `cargo run --example sse` in another terminal: `cargo run --example sse_client`, then
//! `curl -N http://127.0.0.1:8081/`.
//!
//! SOURCE names another stream than <http://127.0.0.1:8080/>, ADDRESS another place for the subscribers. When the source is gone, it
//! is asked again, behind the last event that has come. Who subscribes late, or comes back, gets what was missed, up to the last
//! hundred events.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use workerman::{EventSource, Http, MessageEvent, ReadyState, Response, ServerSentEvents, Worker};

/// So many events are kept for those who come back.
const KEPT: usize = 100;
/// A source that says nothing for so many seconds is asked again.
const SILENCE: u32 = 60;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8081".to_owned());
    let source = std::env::var("SOURCE").unwrap_or_else(|_| "http://127.0.0.1:8080/".to_owned());
    let worker = Worker::<Http>::new(&format!("http://{address}"));
    let kept = Rc::new(Cell::new(VecDeque::<MessageEvent>::new()));

    let keep = Rc::clone(&kept);
    worker.on_worker_start(move |worker| {
        if let Some(address) = worker.local_addr() {
            println!("listening on http://{address}");
        }
        read(&source, worker, &keep);
    });

    worker.on_message(move |connection, request| {
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
        let events = kept.take();
        // Behind the one that it has seen; all of them if that is unknown.
        let seen = request.last_event_id().and_then(|id| events.iter().rposition(|event| event.id() == id));
        for event in events.iter().skip(seen.map_or(0, |seen| seen + 1)) {
            connection.send(again(event));
        }
        kept.set(events);
    });

    Worker::run_all()
}

fn read(url: &str, worker: Worker<Http>, kept: &Rc<Cell<VecDeque<MessageEvent>>>) {
    let source = EventSource::new(url);
    source.set_silence_timeout(SILENCE);
    source.on_open(|source| println!("connected to {}", source.url()));
    let kept = Rc::clone(kept);
    source.on_message(move |_, event| {
        worker.broadcast(again(&event));
        let mut events = kept.take();
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back(event);
        kept.set(events);
    });
    source.on_error(|source, text| {
        println!("{text}");
        if source.ready_state() == ReadyState::Closed {
            // Asking again is of no use, and so is this program.
            Worker::stop_all();
        }
    });
}

/// The event as it came.
fn again(event: &MessageEvent) -> ServerSentEvents {
    ServerSentEvents::new().event(event.event()).id(event.id()).data(event.data())
}
