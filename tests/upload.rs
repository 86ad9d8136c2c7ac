//! Promise: the upload example does what it says, for a browser as for anybody else, and keeps nothing.

mod outside;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use outside::{
    Process, Program, Server, TemporaryDirectory, connect, read_to_end, read_until, start_browser, start_example,
};
use workerman::{Http, Response, Worker};

/// A browser takes no longer to start, however busy the machine.
const BROWSER: Duration = Duration::from_secs(60);

/// The body of a form: of each part the lines of its head, and its content.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--limit\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--limit--\r\n");
    body
}

fn post(address: SocketAddr, body: &[u8]) -> String {
    let mut client = connect(address);
    let head =
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=limit\r\nConnection: close";
    write!(client, "{head}\r\nContent-Length: {}\r\n\r\n", body.len()).expect("the head is sent");
    client.write_all(body).expect("the body is sent");
    read_to_end(&mut client)
}

/// The example that has its temporary files in this directory.
fn start_in(temporary: &Path) -> (Process, SocketAddr) {
    Program::new("upload").with("TMPDIR", temporary).serve()
}

/// Ends it as the terminal does; it is content with all that happened.
fn stop(server: Process) {
    server.signal("TERM");
    let (status, errors) = server.wait();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("the directory is there").next().is_none()
}

#[test]
fn files_are_listed_as_text_and_deleted_with_their_request() {
    let temporary = TemporaryDirectory::new("upload");
    let (server, address) = start_in(&temporary.0);
    let page = post(
        address,
        &form(&[
            ("name=\"files[]\"; filename=\"../<b>.txt\"\r\nContent-Type: text/x\"&'y", b"hello"),
            ("name=\"files[]\"; filename=\"large.bin\"\r\nContent-Type: image/png", &[7; 300_000]),
            ("name=\"note\"", b"</q><script>alert(1)</script>"),
        ]),
    );
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("<tr><td>&lt;b&gt;.txt<td>5<td>text/x&quot;&amp;&#39;y\n"), "{page}");
    assert!(page.contains("<tr><td>large.bin<td>300000<td>image/png\n"), "{page}");
    assert!(page.contains("<q id=\"note\">&lt;/q&gt;&lt;script&gt;alert(1)&lt;/script&gt;</q>"), "{page}");
    assert!(is_empty(&temporary.0), "temporary files are deleted");

    let nothing =
        post(address, &form(&[("name=\"files[]\"; filename=\"\"\r\nContent-Type: application/octet-stream", b"")]));
    assert!(nothing.contains("no file was chosen"), "{nothing}");
    stop(server);
}

#[test]
fn a_file_that_cannot_be_stored_is_told_of_and_the_others_are_there() {
    let (server, address) = start_in(Path::new("/nowhere/at/all"));
    let page = post(
        address,
        &form(&[
            ("name=\"files[]\"; filename=\"large\"", &[7; 300_000]),
            ("name=\"files[]\"; filename=\"small\"", b"hello"),
        ]),
    );
    assert!(
        page.contains("<tr><td>large<td>300000<td><b>lost: there is no directory for temporary files</b>"),
        "{page}"
    );
    assert!(page.contains("<tr><td>small<td>5<td>\n"), "{page}");
    stop(server);
}

/// Sends a head that waits to be told to go on.
fn ask_to_send(address: SocketAddr, request: &str, length: &str) -> TcpStream {
    let mut client = connect(address);
    write!(client, "{request} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n{length}\r\n\r\n").expect("it is sent");
    client
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let (server, address) = start_example("upload");
    for (request, length, text) in [
        ("POST /", 40_000_000_u64, "\r\n\r\nthat is too large: 32 MiB at most\n"),
        ("PUT /raw", 2_000_000_000, "\r\n\r\nthat is too large: 1024 MiB at most\n"),
    ] {
        let answer = read_to_end(&mut ask_to_send(address, request, &format!("Content-Length: {length}")));
        assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
        assert!(answer.ends_with(text), "{answer}");
    }
    stop(server);
}

#[test]
fn a_raw_body_may_be_larger_than_any_form_and_leaves_nothing() {
    let temporary = TemporaryDirectory::new("upload-raw");
    let (server, address) = start_in(&temporary.0);
    let piece = vec![7; 1024 * 1024];
    for (length, before, behind, end) in
        [("Content-Length: 41943040", "", "", ""), ("Transfer-Encoding: chunked", "100000\r\n", "\r\n", "0\r\n\r\n")]
    {
        let mut client = ask_to_send(address, "PUT /raw", length);
        assert_eq!(read_until(&mut client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
        for _ in 0..40 {
            client.write_all(before.as_bytes()).expect("it is sent");
            client.write_all(&piece).expect("it is sent");
            client.write_all(behind.as_bytes()).expect("it is sent");
        }
        client.write_all(end.as_bytes()).expect("it is sent");
        let answer = read_until(&mut client, " bytes\n");
        assert!(answer.ends_with("\r\n\r\n41943040 bytes\n"), "{answer}");
    }
    assert!(is_empty(&temporary.0));
    stop(server);
}

#[test]
fn other_methods_and_paths_are_told_so() {
    let (server, address) = start_example("upload");
    for (request, expected) in [
        ("DELETE /", "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, POST\r\n"),
        ("GET /raw", "HTTP/1.1 405 Method Not Allowed\r\nAllow: PUT\r\n"),
        ("GET /other", "HTTP/1.1 404 Not Found\r\n"),
        ("HEAD /", "HTTP/1.1 200 OK\r\n"),
    ] {
        let mut client = connect(address);
        write!(client, "{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it is sent");
        let answer = read_to_end(&mut client);
        assert!(answer.starts_with(expected), "{request}: {answer}");
    }
    stop(server);
}

/// Fills in the form of the page in the frame as a user does, sends it, tells what the next page shows, and then sends a
/// form that is too large.
const DRIVER: &str = r#"<!doctype html>
<iframe id="frame" src="EXAMPLE"></iframe>
<script>
  const frame = document.getElementById("frame");
  const report = (text) => fetch("/report", { method: "POST", body: text });
  const large = new File([new Uint8Array(40_000_000)], "larger.bin");
  const fillIn = () => {
    const page = frame.contentWindow;
    const chosen = new page.DataTransfer();
    chosen.items.add(new page.File(["hello"], "<i>ä \"b\".txt", { type: "text/plain" }));
    chosen.items.add(new page.File([new Uint8Array(200_000)], "large.bin"));
    page.document.querySelector("input[type=file]").files = chosen.files;
    page.document.querySelector("input[name=note]").value = "a & <b>ü</b>";
    page.document.querySelector("button").click();
  };
  const tell = async () => {
    const page = frame.contentDocument;
    const cells = [...page.querySelectorAll("td")].map((cell) => cell.textContent.trim());
    await report([page.getElementById("note").textContent, ...cells].join("|"));
    const form = new FormData();
    form.append("files[]", large);
    const answer = await fetch("EXAMPLE", { method: "POST", body: form });
    await report(answer.status + " " + await answer.text());
  };
  const steps = [fillIn, tell];
  frame.onload = () => steps.shift()();
  onerror = report;
  onunhandledrejection = (event) => report(String(event.reason));
</script>
"#;

/// A server with that page, and what the page tells.
fn start_driver(example: SocketAddr) -> (Server, Receiver<String>) {
    let (sender, reports) = mpsc::channel();
    let page = DRIVER.replace("EXAMPLE", &format!("http://{example}/"));
    let server = Server::start(move |worker: Worker<Http>| {
        worker.on_message(move |connection, request| {
            if request.path() == "/report" {
                let _ = sender.send(String::from_utf8_lossy(request.raw_body()).into_owned());
                return connection.send(Response::new(204, &[], ""));
            }
            connection.send(&page)
        });
    });
    (server, reports)
}

#[test]
fn a_browser_sends_the_form_and_shows_what_has_come() {
    let (server, address) = start_example("upload");
    let (driver, reports) = start_driver(address);
    let profile = TemporaryDirectory::new("upload-browser");
    // The page may look into the example's, which is another origin.
    let options = ["--disable-web-security", "--disable-site-isolation-trials"];
    let browser = start_browser(&profile.0, &options, &driver.url("/"));

    // Browsers escape quotes in the names of files, which nobody can undo: they do not escape the percent sign.
    let shown = reports.recv_timeout(BROWSER).expect("the page tells what it shows");
    assert_eq!(shown, "a & <b>ü</b>|<i>ä %22b%22.txt|5|text/plain|large.bin|200000|application/octet-stream");
    let refusal = reports.recv_timeout(BROWSER).expect("the page tells of the refusal");
    assert_eq!(refusal, "413 that is too large: 32 MiB at most\n");
    drop(browser);
    stop(server);
}
