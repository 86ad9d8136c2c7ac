//! A tokio runtime on a thread of its own, for what there is as a crate for tokio only. `cargo run --example tokio_bridge`,
//! then
//!
//! * `curl http://127.0.0.1:8080/?name=world`: the question goes to the runtime, and its answer to the connection;
//! * `curl -N -H 'Accept: text/event-stream' http://127.0.0.1:8080/`: the runtime has the loop tell everybody the time.
//!
//! Questions travel through a channel with a limit: when the runtime does not keep up, the loop says so at once. The way back is a
//! `RemoteConnection` for one connection, a `LoopHandle` for all. At a stop the worker gives its end of the channel back, the
//! runtime answers what it has been asked, and its thread ends.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;
use workerman::{Http, LoopError, LoopHandle, RemoteConnection, Response, ServerSentEvents, Worker};

/// So many questions may wait for the runtime.
const QUESTIONS: usize = 1000;

type Question = (RemoteConnection<Http>, String);

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let worker = Worker::<Http>::new(&format!("http://{address}"));

    // In the process that serves, which may be another than this one.
    worker.on_worker_start(|worker| -> workerman::Result<()> {
        let (questions, asked) = mpsc::channel::<Question>(QUESTIONS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = LoopHandle::current();
        let thread = thread::Builder::new().name("tokio".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve(asked, handle)))?;

        // Whoever is served while the worker stops is still answered: the channel ends with the connections.
        worker.on_message(move |connection, request| {
            if request.accepts_event_stream() {
                connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
                return;
            }
            let name = request.get("name").unwrap_or("nobody").to_owned();
            if questions.try_send((connection.remote(), name)).is_err() {
                connection.send(Response::new(503, &[("Retry-After", "1")], "too many questions\n"));
            }
        });
        if let Some(address) = worker.local_addr() {
            println!("listening on http://{address}");
        }
        WORKER.set(Some(worker));
        END.set(Some(thread));
        Ok(())
    });

    Worker::run_all()?;
    // The worker's callbacks are gone, and the channel with them.
    if let Some(thread) = END.take() {
        thread.join().map_err(|_| "the runtime has panicked")?;
        println!("the runtime has ended");
    }
    Ok(())
}

// What belongs to the loop's thread: closures that come from elsewhere find it here.
thread_local! {
    static WORKER: Cell<Option<Worker<Http>>> = const { Cell::new(None) };
    static END: Cell<Option<thread::JoinHandle<()>>> = const { Cell::new(None) };
}

/// On the runtime, until the loop has nothing more to ask.
async fn serve(mut asked: mpsc::Receiver<Question>, handle: LoopHandle) {
    let clock = tokio::spawn(tell_the_time(handle));
    let mut answers = JoinSet::new();
    while let Some((connection, name)) = asked.recv().await {
        answers.spawn(answer(connection, name));
        // Those that are done with are forgotten.
        while answers.try_join_next().is_some() {}
    }
    clock.abort();
    while answers.join_next().await.is_some() {}
}

/// Any number of these wait side by side.
async fn answer(connection: RemoteConnection<Http>, name: String) {
    time::sleep(Duration::from_millis(20)).await; // a query, say
    if let Err(error) = connection.send(format!("hello {name}\n")) {
        log::warn!("{name} is not answered: {error}");
    }
}

async fn tell_the_time(handle: LoopHandle) {
    let mut seconds = time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        // On the loop, its connections and workers are at hand.
        let told = handle.run(|| {
            let event = ServerSentEvents::new().event("tick").data("a second has passed");
            WORKER.get().map(|worker| worker.broadcast(event))
        });
        if told == Err(LoopError::Stopped) {
            break;
        }
    }
}
