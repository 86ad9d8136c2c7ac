//! Promise: the example of a Unix socket serves curl and a proxy, and is started again whatever has ended it.

mod outside;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use outside::{PATIENCE, Process, Program, TemporaryDirectory, eventually};

fn start(path: &Path) -> Process {
    let server = Program::new("unix_socket").with("SOCKET", path).start();
    assert_eq!(server.line(), format!("listening on {path:?}"));
    server
}

fn curl(arguments: &[&str]) -> String {
    let seconds = PATIENCE.as_secs().to_string();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", &seconds]).args(arguments);
    let done = curl.output().expect("this test needs curl: ./tests/run installs it");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn ask(path: &Path) -> String {
    curl(&["--unix-socket", &path.display().to_string(), "http://localhost/hello"])
}

#[test]
fn it_is_there_again_after_a_proper_end_and_after_a_violent_one() {
    let directory = TemporaryDirectory::new("unix-example");
    let path = directory.0.join("app.sock");
    for (signal, is_left) in [("TERM", false), ("KILL", true), ("INT", false)] {
        let server = start(&path);
        assert_eq!(ask(&path), "/hello for somebody on this machine\n");
        server.signal(signal);
        server.wait();
        assert_eq!(path.exists(), is_left, "SIG{signal}");
    }
}

#[test]
fn a_path_that_cannot_be_had_ends_the_process_with_its_name_and_the_cause() {
    let directory = TemporaryDirectory::new("unix-causes");
    let [served, file] = ["served", "file"].map(|name| directory.0.join(name));
    fs::write(&file, "").expect("it can be written");
    let first = start(&served);
    for (path, cause) in [
        (served.as_path(), "somebody listens on this socket already"),
        (&file, "there is a file of this name that is no socket"),
        (&directory.0.join("missing/app.sock"), "No such file or directory"),
        (&directory.0.join("a".repeat(107)), "the system takes 107"),
    ] {
        let (status, errors) = Program::new("unix_socket").with("SOCKET", path).start().wait();
        assert!(status.code().is_some_and(|code| code != 0), "{}: {status}", path.display());
        assert!(errors.contains(&format!("unix://{}", path.display())) && errors.contains(cause), "{errors:?}");
        assert_eq!(errors.lines().count(), 1, "one line says it all: {errors}");
    }
    assert!(ask(&served).starts_with("/hello"), "the first goes on");
    drop(first);
}

#[test]
fn nginx_in_front_passes_requests_and_says_whose_they_are() {
    let directory = TemporaryDirectory::new("unix-nginx");
    let path = directory.0.join("app.sock");
    let _server = start(&path);
    let here = directory.0.display();
    let config = directory.0.join("nginx.conf");
    fs::write(&config, nginx_config(&here.to_string())).expect("it can be written");
    let mut nginx = Command::new(nginx());
    let nginx = Process::start(nginx.arg("-c").arg(&config).arg("-p").arg(&directory.0).args(["-e", "stderr"]));
    // Port 0 is not for nginx. What it calls a client on a Unix socket is "unix:".
    let (front, url) = (format!("{here}/front.sock"), "http://localhost/hello");
    eventually("nginx answers", || curl(&["--unix-socket", &front, url]) == "/hello for unix:\n");
    let twice = curl(&["--unix-socket", &front, "-H", "X-Forwarded-For: 1.2.3.4", url, url]);
    assert_eq!(twice, "/hello for unix:\n/hello for unix:\n");
    // Its workers end with it if it is told, not if it is killed.
    nginx.signal("TERM");
    nginx.wait();
}

/// The lines of the documentation, with what nginx needs to run in a directory.
fn nginx_config(directory: &str) -> String {
    let page = include_str!("../docs/unix-sockets.md");
    let lines = page.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).expect("lines for nginx");
    let lines = lines.replace("/run/app/http.sock", &format!("{directory}/app.sock"));
    let lines = lines.replace("listen 80;", &format!("listen unix:{directory}/front.sock;"));
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {directory}/{name};\n")).concat();
    // Root would become somebody who cannot reach the directory.
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let user = if is_root { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; pid {directory}/pid; {user}
         events {{ worker_connections 64; }}
         http {{ access_log off; {temporary} {lines} }}"
    )
}

/// Debian keeps it where only root looks.
fn nginx() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|place| place.join("nginx"));
    places.into_iter().find(|nginx| nginx.is_file()).expect("this test needs nginx: ./tests/run installs it")
}
