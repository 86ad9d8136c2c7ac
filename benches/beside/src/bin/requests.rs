//! hyper's client on one thread, with its pool: so many requests for /plaintext in flight, without a pause. Prints one line of
//! JSON about itself.
//!
//! ```text
//! requests PORT IN_FLIGHT SECONDS
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use beside::Result;
use beside::taken::Taken;
use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WARM_UP: Duration = Duration::from_millis(500);

type Http = Client<HttpConnector, Empty<Bytes>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, in_flight, seconds] = arguments.as_slice() else { return Err("usage".into()) };
    let uri: Uri = format!("http://127.0.0.1:{port}/plaintext").parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(uri, in_flight.parse()?, Duration::from_secs_f64(seconds.parse()?)))
}

async fn run(uri: Uri, in_flight: usize, time: Duration) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Http = Client::builder(TokioExecutor::new()).build(connector);
    let count = Rc::new(Cell::new(0_u64));
    for _ in 0..in_flight {
        let (client, uri, count) = (client.clone(), uri.clone(), Rc::clone(&count));
        spawn_local(async move {
            loop {
                ask(&client, uri.clone()).await.unwrap_or_else(|error| panic!("{error}"));
                count.set(count.get() + 1);
            }
        });
    }
    sleep(WARM_UP).await;
    let (began, before, first) = (Instant::now(), Taken::by("self")?, count.get());
    sleep(time).await;
    let (took, after, count) = (began.elapsed().as_secs_f64(), Taken::by("self")?, count.get() - first);
    let cpu = (after.nanoseconds - before.nanoseconds) as f64;
    println!(
        "{{\"count\":{count},\"cpu_us\":{:.3},\"per_second\":{:.0},\"busy\":{:.3}}}",
        cpu / 1e3 / count as f64,
        count as f64 / took,
        cpu / 1e9 / took,
    );
    Ok(())
}

async fn ask(client: &Http, uri: Uri) -> Result<()> {
    let body = client.get(uri).await?.into_body().collect().await?.to_bytes();
    if body == "Hello, World!" { Ok(()) } else { Err(format!("{body:?} came").into()) }
}
