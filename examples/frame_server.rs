//! Calls over frames, answered in whatever order they are done: `cargo run --example frame_server`.
//!
//! A frame is four bytes of length, which count themselves, the highest first. In it: a number by which the caller knows
//! its answer, four bytes as well, then a command, a blank and its argument. `upper` is answered at once, `later` after
//! 0.2 s.

use workerman::{Frame, Timer, Worker};

/// What is answered to a command, and after how many seconds.
fn answer(call: &[u8]) -> Result<(Vec<u8>, f64), &'static str> {
    let text = str::from_utf8(call).map_err(|_| "a command is text")?;
    match text.split_once(' ').unwrap_or((text, "")) {
        ("upper", argument) => Ok((argument.to_uppercase().into(), 0.0)),
        ("later", argument) => Ok((argument.into(), 0.2)),
        _ => Err("there is no such command"),
    }
}

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:4431".to_owned());
    let worker = Worker::<Frame>::new(&format!("frame://{address}"));
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));

    worker.on_message(|connection, frame| -> workerman::Result<()> {
        // Who sends no number cannot be answered: an error ends the connection.
        let (number, call) = frame.split_first_chunk::<4>().ok_or("a frame without a number")?;
        let (body, seconds) = answer(call).unwrap_or_else(|error| (format!("error: {error}").into(), 0.0));
        let reply = [number.as_slice(), &body].concat();
        if seconds > 0.0 {
            Timer::delay(seconds, move || connection.send(reply));
        } else {
            connection.send(reply);
        }
        Ok(())
    });

    // What is no frame at all ends here, and the connection with it.
    worker.on_error(|connection, _code, text| eprintln!("{}: {text}", connection.remote_address()));

    Worker::run_all()
}
