//! Who is who, by a cookie: `cargo run --features session --example session`, then open <http://127.0.0.1:8080>.
//!
//! With `FOLDER=/tmp/sessions` in front, sessions are kept in files there and outlive the program.

use workerman::{FileSessionHandler, Http, Request, Response, SameSite, Session, SessionConfig, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let worker = Worker::<Http>::new(&format!("http://{address}"));

    Session::configure(SessionConfig::default().same_site(SameSite::Lax).auto_update_timestamp(true));
    if let Ok(folder) = std::env::var("FOLDER") {
        Session::set_handler(FileSessionHandler::new(folder)?);
    }

    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("open http://{address} in a browser");
        }
    });

    worker.on_message(|connection, request| -> workerman::Result<()> {
        connection.send(match (request.method(), request.path()) {
            ("GET", "/") => page(&request)?,
            ("POST", "/login") => login(&request)?,
            ("POST", "/logout") => logout(&request)?,
            _ => Response::new(404, &[], "not found"),
        });
        Ok(())
    });

    Worker::run_all()
}

fn page(request: &Request) -> workerman::Result<Response> {
    let session = request.session()?;
    let visits = session.get::<u64>("visits").unwrap_or(0) + 1;
    session.set("visits", visits)?;
    // Shown once.
    let notice: String = session.pull("notice").unwrap_or_default();
    let form = match session.get::<String>("name") {
        Some(name) => {
            format!(r#"<p>hello {name}</p><form method="post" action="/logout"><button>log out</button></form>"#)
        }
        None => r#"<form method="post" action="/login"><input name="name"> <button>log in</button></form>"#.to_owned(),
    };
    let page = format!("<!doctype html><title>Session</title><p>{notice}</p>{form}<p>page view {visits}</p>");
    Ok(Response::new(200, &[("Cache-Control", "no-store")], page))
}

fn login(request: &Request) -> workerman::Result<Response> {
    let name: String = request.post("name").unwrap_or_default().chars().filter(|c| c.is_alphanumeric()).collect();
    if name.is_empty() {
        return Ok(Response::new(400, &[], "a name has letters or digits"));
    }
    // Whoever knew the id before, perhaps because he gave it to this browser, knows nothing now.
    request.session_regenerate_id(true)?;
    request.session()?.put([("name", name), ("notice", "welcome".to_owned())])?;
    Ok(Response::redirect("/").with_status(303))
}

fn logout(request: &Request) -> workerman::Result<Response> {
    request.session()?.flush();
    Ok(Response::redirect("/").with_status(303))
}
