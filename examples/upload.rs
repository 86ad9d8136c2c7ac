//! Uploads: `cargo run --example upload`, then
//!
//! * open <http://127.0.0.1:8080> in a browser and send some files, or
//! * `curl -F 'files[]=@a.jpg' -F 'files[]=@b.jpg' -F note=holiday http://127.0.0.1:8080/`: the same form;
//! * `curl -T film.mp4 http://127.0.0.1:8080/raw`: a body of up to 1 GiB, of which a piece at a time is in memory.
//!
//! Nothing is kept: files are deleted with the request that brought them.

use std::fs::File;
use std::io::{ErrorKind, Write};

use workerman::{Http, Request, Response, SendStatus, TcpConnection, UploadError, UploadedFile, Worker};

/// The most that a form may have, with all its files. What it has beyond 64 KiB is on disk, not in memory.
const FORM_LIMIT: usize = 32 * 1024 * 1024;
/// The most that is taken by `/raw`.
const RAW_LIMIT: u64 = 1024 * 1024 * 1024;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    // The limit of any request whose body is not taken in pieces. By itself it answers 413 without a word.
    TcpConnection::set_default_max_package_size(FORM_LIMIT);

    let worker = Worker::<Http>::new(&format!("http://{address}"));
    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("open http://{address} in a browser");
        }
    });
    worker.on_head(before_the_body);
    worker.on_message(|connection, request| match (request.method(), request.path()) {
        ("GET" | "HEAD", "/") => connection.send(page(FORM)),
        ("POST", "/") => connection.send(page(&list(&request))),
        (_, "/") => connection.send(Response::new(405, &[("Allow", "GET, HEAD, POST")], "")),
        ("PUT", "/raw") => {
            let bytes = connection.with(|raw: &mut Raw| std::mem::take(&mut raw.bytes)).unwrap_or(0);
            connection.send(Response::new(200, &[("Content-Type", "text/plain")], format!("{bytes} bytes\n")))
        }
        (_, "/raw") => connection.send(Response::new(405, &[("Allow", "PUT")], "")),
        _ => connection.send(Response::new(404, &[], "not found")),
    });

    Worker::run_all()
}

/// Turns away what is too large before it is sent, and takes the body of `/raw` in pieces.
fn before_the_body(connection: TcpConnection<Http>, request: &Request) -> workerman::Result<()> {
    // A chunked body declares nothing: there the limits count as it arrives.
    let declared: u64 = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let is_raw = (request.method(), request.path()) == ("PUT", "/raw");
    let limit = if is_raw { RAW_LIMIT } else { FORM_LIMIT as u64 };
    if declared > limit {
        too_large(connection, limit);
    } else if is_raw {
        connection.set(Raw { bytes: 0 });
        let mut file: File = tempfile::tempfile()?; // it has no name, and is gone with this closure
        connection.on_body(move |connection, piece| receive(connection, &mut file, piece));
    }
    Ok(())
}

/// What is known of the body that `/raw` is taking.
struct Raw {
    bytes: u64,
}

/// Stores a piece. An error, or an answer, ends the connection.
fn receive(connection: TcpConnection<Http>, file: &mut File, piece: &[u8]) -> workerman::Result<()> {
    let bytes = connection.with(|raw: &mut Raw| {
        raw.bytes += piece.len() as u64;
        raw.bytes
    });
    if bytes.is_none_or(|bytes| bytes > RAW_LIMIT) {
        too_large(connection, RAW_LIMIT);
        return Ok(());
    }
    match file.write_all(piece) {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            connection.send(Response::new(507, &[], "there is no room left"));
            Ok(())
        }
        result => Ok(result?),
    }
}

fn too_large(connection: TcpConnection<Http>, limit: u64) -> SendStatus {
    let text = format!("that is too large: {} MiB at most\n", limit / 1024 / 1024);
    connection.send(Response::new(413, &[("Content-Type", "text/plain")], text))
}

/// What has come with the form.
fn list(request: &Request) -> String {
    let note = escape(request.post("note").unwrap_or_default());
    let rows: String = request.files().list().map(row).collect();
    format!(
        "<p>Note: <q id=\"note\">{note}</q>\n\
         <table>\n<tr><th>name<th>size<th>content type\n{rows}</table>\n<p><a href=\"/\">once more</a>\n"
    )
}

fn row(file: &UploadedFile) -> String {
    let name = escape(file.name());
    match file.error() {
        None => format!("<tr><td>{name}<td>{}<td>{}\n", file.size(), escape(file.content_type())),
        // What a browser sends for a field in which nothing was chosen.
        Some(UploadError::NoFile) => "<tr><td colspan=\"3\">no file was chosen\n".to_owned(),
        Some(error) => format!("<tr><td>{name}<td>{}<td><b>lost: {error}</b>\n", file.size()),
    }
}

/// Text as it stands in a page. All that a client sends is text: names of files and content types, too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn page(content: &str) -> String {
    format!(
        "<!doctype html>\n<title>Upload</title>\n\
         <style>body {{ font: 1.1em sans-serif; margin: 2em }} td, th {{ padding: 0 1em; text-align: left }}</style>\n\
         <h1>Upload</h1>\n{content}"
    )
}

/// The brackets make an array of the files, as in PHP. Without them the last one counts.
const FORM: &str = r#"<form method="post" action="/" enctype="multipart/form-data">
<p><label>Files <input type="file" name="files[]" multiple></label>
<p><label>Note <input name="note" size="40"></label>
<p><button>send</button>
</form>
"#;
