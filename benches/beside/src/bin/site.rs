//! hyper with tokio-rustls: see `beside::site`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> beside::Result<()> {
    beside::site::run()
}
