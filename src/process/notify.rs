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
    /// How often it wants a sign of life, and when the next is due, in nanoseconds.
    watchdog: Option<(u64, u64)>,
}

impl Notifier {
    /// The socket that the environment names; `None` where no manager listens. Whoever starts processes of its own keeps
    /// `NOTIFY_SOCKET` from them: they are not to speak for the app.
    ///
    /// # Errors
    ///
    /// When the name is none of a socket, or there is no descriptor for one.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let notifier = name.map(|name| Self::new(&name)).transpose()?;
        let period = watchdog_period(std::process::id(), |name| std::env::var(name).ok());
        Ok(notifier.map(|notifier| Self { watchdog: period.map(|period| (period, 0)), ..notifier }))
    }

    /// The same for an app that serves without its manager, too.
    pub(super) fn of_app() -> Option<Self> {
        Self::from_environment().unwrap_or_else(|error| {
            log::warn!("the manager cannot be told how the app stands: {error}");
            None
        })
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
        Ok(Self { socket, address, watchdog: None })
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

    /// Gives a sign of life, if the manager wants one (`WatchdogSec=`) and it is due at this time, in nanoseconds. Answers
    /// when the next is due.
    pub fn keep_alive(&mut self, now: u64) -> Option<u64> {
        let (period, due) = self.watchdog?;
        if now < due {
            return Some(due);
        }
        // One that is lost is made up for by the next.
        let _ = self.send("WATCHDOG=1");
        let due = now.saturating_add(period);
        self.watchdog = Some((period, due));
        Some(due)
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

/// Nanoseconds between two signs of life: half of what the manager waits for one, as it advises. It waits for the process
/// of this number alone.
fn watchdog_period(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let is_ours = variable("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(pid));
    let microseconds: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (is_ours && microseconds > 0).then(|| microseconds.saturating_mul(500))
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
    fn a_sign_of_life_is_given_at_half_the_time_to_whom_it_was_asked_of() {
        let period = |pid: Option<&str>, microseconds: &str| {
            watchdog_period(4711, |name| match name {
                "WATCHDOG_PID" => pid.map(str::to_owned),
                _ => Some(microseconds.to_owned()),
            })
        };
        assert_eq!([period(Some("4711"), "30"), period(None, "30")], [Some(15_000); 2]);
        assert_eq!(
            [period(Some("4712"), "30"), period(Some(""), "30"), period(None, "0"), period(None, "x")],
            [None; 4]
        );

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("the path is free");
        manager.set_nonblocking(true).expect("a socket");
        let mut notifier = Notifier::new(path.as_os_str()).expect("a path");
        assert_eq!(notifier.keep_alive(0), None);
        notifier.watchdog = Some((10, 0));
        let mut buffer = [0; 64];
        for (now, due, is_told) in [(5, 15, true), (6, 15, false), (15, 25, true), (100, 110, true)] {
            assert_eq!(notifier.keep_alive(now), Some(due));
            assert_eq!(manager.recv(&mut buffer).is_ok(), is_told, "{now}");
        }
        assert!(buffer.starts_with(b"WATCHDOG=1\0"));
    }

    #[test]
    fn what_is_no_name_of_a_socket_is_an_error() {
        assert!(Notifier::new(OsStr::new("vsock:1:2")).is_err());
        assert!(Notifier::new(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
    }
}
