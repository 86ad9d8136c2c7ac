//! The peer with the system's allocator, as our server has it.

fn main() -> std::io::Result<()> {
    beside::run()
}
