//! A client on a loop of its own, and what it is told.

use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use workerman::{AsyncTcpConnection, Codec, LoopHandle, Worker};

use super::{PATIENCE, now, receive};

/// A loop with one client on a thread of its own, until this is dropped.
#[derive(Debug)]
pub(crate) struct Told {
    events: Receiver<String>,
    handle: LoopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Told {
    /// A client of this address, which connects once it is set up.
    pub(crate) fn by<P: Codec>(address: &str, set_up: impl FnOnce(AsyncTcpConnection<P>) + Send + 'static) -> Self
    where
        P::Message: AsRef<[u8]>,
    {
        let (tell, events) = mpsc::channel();
        let (handles, handle) = mpsc::channel();
        let address = address.to_owned();
        let thread = thread::spawn(move || {
            let client = AsyncTcpConnection::<P>::new(&address);
            let (connect, message, error, close) = (tell.clone(), tell.clone(), tell.clone(), tell);
            client.on_connect(move |_| drop(connect.send("connect".to_owned())));
            client.on_message(move |_, said| {
                let text = String::from_utf8_lossy(said.as_ref()).into_owned();
                drop(message.send(text));
            });
            client.on_error(move |_, code, text| drop(error.send(format!("{code} {text}"))));
            client.on_close(move |_| drop(close.send("close".to_owned())));
            set_up(client);
            client.connect();
            let _ = handles.send(LoopHandle::current());
            Worker::run_all().expect("the loop ends without an error");
        });
        let handle = receive("the loop", &handle);
        Self { events, handle, thread: Some(thread) }
    }

    /// The next thing that it is told.
    pub(crate) fn next(&self) -> String {
        receive("an event", &self.events)
    }

    /// As much as this of what it is sent, in however many pieces.
    pub(crate) fn bytes(&self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            text += &self.next();
        }
        text
    }

    /// One error, whose text has this in it, and one end.
    pub(crate) fn fails(&self, part: &str) -> String {
        let error = self.next();
        assert!(error.starts_with("1 connect ") && error.contains(part), "{error}");
        self.ends();
        error
    }

    /// One end, and nothing after it.
    pub(crate) fn ends(&self) {
        assert_eq!(self.next(), "close");
        assert_eq!(self.try_next(), None, "that was not all");
    }

    /// The same if there is one within a moment.
    pub(crate) fn try_next(&self) -> Option<String> {
        self.events.recv_timeout(Duration::from_millis(50)).ok()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let _ = self.handle.run(Worker::stop_all);
        let start = now();
        while !thread.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
        let ended = thread.is_finished() && thread.join().is_ok();
        assert!(ended || thread::panicking(), "the client's loop has not ended well");
    }
}
