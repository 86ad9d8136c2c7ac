//! Programs of others that listen on this machine: servers and proxies, each on a port and in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::{PATIENCE, Process, TemporaryDirectory, free_address, is_alive, now};

/// A program that listens, until this is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Before the directory, so that it ends before that goes.
    pub(crate) process: Process,
    pub(crate) directory: TemporaryDirectory,
}

impl Peer {
    /// Starts what is to listen at this address and may keep files in this directory; comes back when it listens.
    pub(crate) fn start(name: &str, command: impl Fn(SocketAddr, &Path) -> Command) -> Self {
        let directory = TemporaryDirectory::new(name);
        for _ in 0..3 {
            let address = free_address();
            let mut command = command(address, &directory.0);
            let process = Process::start(&mut command);
            let start = now();
            while is_alive(process.id()) {
                if is_listening(address.port()) {
                    return Self { address, process, directory };
                }
                assert!(start.elapsed() < PATIENCE, "{command:?} does not listen");
                thread::sleep(Duration::from_millis(5));
            }
            // Somebody else may have taken the port meanwhile: then another one is tried.
            let (status, errors) = process.wait();
            eprintln!("{command:?}: {status}: {errors}");
        }
        panic!("{name} does not start");
    }

    /// nginx with these lines in its `http` block; `@PORT@` and `@DIR@` stand for its port and its directory.
    pub(crate) fn nginx(server: &str) -> Self {
        Self::start("nginx", |address, directory| {
            let place = directory.display().to_string();
            let server = server.replace("@PORT@", &address.port().to_string()).replace("@DIR@", &place);
            // Who is root would else give its files to another user.
            let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
            let text = format!(
                "{user} daemon off; master_process off; pid {place}/pid; error_log stderr warn;
                 events {{ worker_connections 256; }}
                 http {{
                   access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
                   fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
                   {server}
                 }}"
            );
            let file = directory.join("nginx.conf");
            fs::write(&file, text).expect("a configuration can be written");
            let mut nginx = installed("nginx");
            nginx.arg("-e").arg("stderr").arg("-p").arg(directory).arg("-c").arg(file);
            nginx
        })
    }
}

/// A command that `tests/run` installs. Some lie where only root looks.
pub(crate) fn installed(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let found = path.split(':').map(|directory| Path::new(directory).join(name)).find(|file| file.is_file());
    Command::new(found.unwrap_or_else(|| panic!("this test needs {name}: ./tests/run installs it")))
}

/// Whether somebody listens at this port. Nobody is asked: one who serves a single client would take the question for it.
pub(crate) fn is_listening(port: u16) -> bool {
    let end = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(&end)) && words.nth(1) == Some("0A")
        })
    })
}
