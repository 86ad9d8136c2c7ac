//! Sockets that the manager has opened for the app: systemd's `LISTEN_FDS`.
//!
//! This tells which descriptors there are and makes nothing of them. They begin at 3, and are meant for the process that
//! `LISTEN_PID` names alone.

/// The first that is handed over.
const FIRST: i32 = 3;
/// A number beyond this is no number of sockets.
const MOST: i32 = 4096;
/// What systemd calls a socket that has no name.
const UNNAMED: &str = "unknown";

/// A descriptor that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenFd {
    /// Its number.
    pub fd: i32,
    /// Its `FileDescriptorName=`, `unknown` for none.
    pub name: String,
}

/// The descriptors for the process of this number, as these variables of the environment tell. None at all, if they are
/// another process's or cannot be understood.
pub fn listen_fds(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Vec<ListenFd> {
    let for_us = variable("LISTEN_PID").and_then(|text| text.parse().ok()) == Some(pid);
    let count: i32 = variable("LISTEN_FDS").and_then(|text| text.parse().ok()).unwrap_or(0);
    if !for_us || !(1..=MOST).contains(&count) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(|name| if name.is_empty() { UNNAMED } else { name });
    let names = names.chain(std::iter::repeat(UNNAMED));
    (FIRST..FIRST + count).zip(names).map(|(fd, name)| ListenFd { fd, name: name.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pid: &str, count: &str, names: Option<&str>) -> Vec<(i32, String)> {
        let variable = |name: &str| match name {
            "LISTEN_PID" => Some(pid.to_owned()),
            "LISTEN_FDS" => Some(count.to_owned()),
            _ => names.map(str::to_owned),
        };
        listen_fds(4711, variable).into_iter().map(|ListenFd { fd, name }| (fd, name)).collect()
    }

    #[test]
    fn sockets_have_their_numbers_and_names() {
        let unknown = || "unknown".to_owned();
        assert_eq!(given("4711", "2", Some("web:chat")), [(3, "web".into()), (4, "chat".into())]);
        assert_eq!(given("4711", "2", Some("web")), [(3, "web".into()), (4, unknown())]);
        assert_eq!(given("4711", "1", Some("web:chat")), [(3, "web".into())]);
        assert_eq!(given("4711", "2", Some(":chat")), [(3, unknown()), (4, "chat".into())]);
        assert_eq!(given("4711", "2", None), [(3, unknown()), (4, unknown())]);
    }

    #[test]
    fn what_is_another_processs_or_nonsense_is_none() {
        for (pid, count) in
            [("4712", "1"), ("", "1"), ("4711", "0"), ("4711", "-1"), ("4711", "x"), ("4711", "2147483647")]
        {
            assert_eq!(given(pid, count, None), [], "{pid} {count}");
        }
        assert_eq!(listen_fds(4711, |_| None), []);
    }
}
