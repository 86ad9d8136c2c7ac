//! Telling systemd how the app stands: `sd_notify`, a datagram to the socket that `NOTIFY_SOCKET` names.
//!
//! What cannot be told is not worth failing for: a manager that listens no more has its reasons, and one that does not
//! hear of a start ends the unit itself.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// The manager's socket.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// The socket that the environment names; `None` where no manager listens. Whoever starts processes of its own keeps
    /// `NOTIFY_SOCKET` from them: they are not to speak for the app.
    ///
    /// # Errors
    ///
    /// When the name is none of a socket, or there is no descriptor for one.
    pub fn from_environment() -> io::Result<Option<Self>> {
        std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).map(|name| Self::new(&name)).transpose()
    }

    /// The socket of this name: a path, or a name without a file behind `@`.
    ///
    /// # Errors
    ///
    /// When the name is none of a socket, or there is no descriptor for one.
    pub fn new(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(Path::new(name))?,
            [b'@', rest @ ..] => without_file(rest)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is neither a path nor a name")),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the loop up.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// The app serves.
    ///
    /// # Errors
    ///
    /// When the manager cannot be told.
    pub fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// The app takes on its new program; [`ready`](Self::ready) follows. The time is that of the system's monotonic clock.
    ///
    /// # Errors
    ///
    /// When the manager cannot be told.
    pub fn reloading(&self, monotonic: Duration) -> io::Result<()> {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic.as_micros()))
    }

    /// The app ends.
    ///
    /// # Errors
    ///
    /// When the manager cannot be told.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// What `systemctl status` shows: one line.
    ///
    /// # Errors
    ///
    /// When the manager cannot be told.
    pub fn status(&self, text: &str) -> io::Result<()> {
        let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        self.send(&format!("STATUS={line}"))
    }

    fn send(&self, state: &str) -> io::Result<()> {
        self.socket.send_to_addr(state.as_bytes(), &self.address).map(drop)
    }
}

#[cfg(target_os = "linux")]
fn without_file(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn without_file(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_what_it_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("the path is free");
        hears(&manager, &Notifier::new(path.as_os_str()).expect("a path"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_without_a_file_hears_it_too() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("workerman-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("the name is free");
        hears(&manager, &Notifier::new(OsStr::new(&format!("@{name}"))).expect("a name"));
    }

    fn hears(manager: &UnixDatagram, notifier: &Notifier) {
        notifier.ready().expect("it is sent");
        notifier.reloading(Duration::from_micros(1_234_567)).expect("it is sent");
        notifier.status("4 workers\nREADY=0").expect("it is sent");
        notifier.stopping().expect("it is sent");
        for expected in ["READY=1", "RELOADING=1\nMONOTONIC_USEC=1234567", "STATUS=4 workers READY=0", "STOPPING=1"] {
            let mut buffer = [0; 256];
            let count = manager.recv(&mut buffer).expect("it has come");
            assert_eq!(buffer.get(..count), Some(expected.as_bytes()));
        }
    }

    #[test]
    fn a_manager_that_is_gone_or_does_not_read_holds_nobody_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let notifier = Notifier::new(path.as_os_str()).expect("a path");
        assert!(notifier.ready().is_err());
        let _manager = UnixDatagram::bind(&path).expect("the path is free");
        let told = (0..100_000).take_while(|_| notifier.ready().is_ok()).count();
        assert!((1..100_000).contains(&told), "{told}");
    }

    #[test]
    fn what_is_no_name_of_a_socket_is_an_error() {
        assert!(Notifier::new(OsStr::new("vsock:1:2")).is_err());
        assert!(Notifier::new(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
    }
}
