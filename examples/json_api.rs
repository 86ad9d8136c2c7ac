//! A list of things to do, as an API that speaks JSON: `cargo run --example json_api --features json`, then
//!
//! ```sh
//! url=http://127.0.0.1:8080/todos
//! curl $url -d '{"title": "buy milk"}'
//! curl $url/1 -X PUT -d '{"title": "buy milk", "done": true}'
//! curl "$url?done=true&q=milk"
//! curl $url/1 -X DELETE
//! ```
//!
//! What is wrong is told by a status and `{"error":"…"}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use workerman::{BoxError, Http, JsonError, Request, Response, TcpConnection, Worker};

/// The most that a request may have, in bytes, and the most things that are kept: clients decide on neither.
const REQUEST_LIMIT: usize = 64 * 1024;
const TODO_LIMIT: usize = 10_000;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    TcpConnection::set_default_max_package_size(REQUEST_LIMIT);

    let worker = Worker::<Http>::new(&format!("http://{address}"));
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    let mut todos = Todos::default();
    worker.on_message(move |connection, request| {
        connection.send(todos.answer(&request).unwrap_or_else(|Problem(response)| response))
    });

    Worker::run_all()
}

/// What a client sends.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Task {
    title: String,
    #[serde(default)]
    done: bool,
}

/// What it gets back.
#[derive(Serialize)]
struct Todo<'a> {
    id: u64,
    #[serde(flatten)]
    task: &'a Task,
}

/// The callback owns them. There is one thread, so nothing is locked.
#[derive(Default)]
struct Todos {
    tasks: BTreeMap<u64, Task>,
    last_id: u64,
}

impl Todos {
    fn answer(&mut self, request: &Request) -> Result<Response, Problem> {
        let Some(id) = request.path().strip_prefix("/todos") else { return Err(not_found()) };
        if id.is_empty() {
            return match request.method() {
                "GET" | "HEAD" => self.list(request),
                "POST" => self.add(request),
                _ => Err(not_allowed("GET, HEAD, POST")),
            };
        }
        let id = id.strip_prefix('/').and_then(|id| id.parse().ok()).ok_or_else(not_found)?;
        match request.method() {
            "GET" | "HEAD" => self.show(id),
            "PUT" => self.replace(id, request),
            "DELETE" => self.remove(id),
            _ => Err(not_allowed("GET, HEAD, PUT, DELETE")),
        }
    }

    /// All of them, or those that are done or not (`?done=true`), and those with a word in their title (`?q=milk`).
    fn list(&self, request: &Request) -> Result<Response, Problem> {
        let done: Option<bool> = request.get("done").map(str::parse).transpose()?;
        let word = request.get("q").unwrap_or_default();
        let wanted = |task: &Task| done.is_none_or(|done| task.done == done) && task.title.contains(word);
        let found = self.tasks.iter().filter(|(_, task)| wanted(task));
        Ok(Response::json(&found.map(|(id, task)| Todo { id: *id, task }).collect::<Vec<_>>())?)
    }

    fn add(&mut self, request: &Request) -> Result<Response, Problem> {
        let task: Task = request.json()?;
        if self.tasks.len() >= TODO_LIMIT {
            return Err(problem(507, "there is too much to do"));
        }
        self.last_id += 1;
        self.tasks.insert(self.last_id, task);
        let location = format!("/todos/{}", self.last_id);
        Ok(self.show(self.last_id)?.with_status(201).with_header("Location", &location))
    }

    fn show(&self, id: u64) -> Result<Response, Problem> {
        let task = self.tasks.get(&id).ok_or_else(not_found)?;
        Ok(Response::json(&Todo { id, task })?)
    }

    fn replace(&mut self, id: u64, request: &Request) -> Result<Response, Problem> {
        *self.tasks.get_mut(&id).ok_or_else(not_found)? = request.json()?;
        self.show(id)
    }

    fn remove(&mut self, id: u64) -> Result<Response, Problem> {
        self.tasks.remove(&id).ok_or_else(not_found)?;
        Ok(Response::new(204, &[], ""))
    }
}

/// An answer that says what is wrong. Errors become one by `?`.
struct Problem(Response);

fn problem(status: u16, text: &str) -> Problem {
    let body = serde_json::json!({ "error": text }).to_string();
    Problem(Response::new(status, &[("Content-Type", "application/json")], body))
}

fn not_found() -> Problem {
    problem(404, "there is no such thing")
}

fn not_allowed(methods: &str) -> Problem {
    let Problem(response) = problem(405, "this cannot be done here");
    Problem(response.with_header("Allow", methods))
}

/// The client's mistake: its text says in which line and column of the body.
impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        problem(400, &error.to_string())
    }
}

/// So is a query that is neither `true` nor `false`.
impl From<std::str::ParseBoolError> for Problem {
    fn from(error: std::str::ParseBoolError) -> Self {
        problem(400, &error.to_string())
    }
}

/// Ours: a value that cannot be written as JSON.
impl From<BoxError> for Problem {
    fn from(error: BoxError) -> Self {
        log::error!("{error}");
        problem(500, "something went wrong")
    }
}
