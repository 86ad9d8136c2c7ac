//! Work that blocks, away from the loop: notes in SQLite. `cargo run --example background_task`, then
//!
//! * `curl -d note=milk http://127.0.0.1:8080/`: takes a note and answers with its number;
//! * `curl http://127.0.0.1:8080/`: the last twenty notes.
//!
//! The database is a file that ends with the program, unless DATABASE names another.
//!
//! Each thread of the pool has a connection of its own, so in SQLite's WAL mode readers wait for nobody, and writers for each
//! other. There are as many connections as threads, 4 at most, and a thread that ends closes its own.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use workerman::{Http, Panicked, Response, Task, TaskError, TcpConnection, Worker};

/// So many tasks may wait for a thread; who comes then is told to come back.
const QUEUE: usize = 200;
/// So many milliseconds a writer waits for the others.
const PATIENCE: u64 = 5_000;

thread_local! {
    static DATABASE: Cell<Option<Connection>> = const { Cell::new(None) };
}

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let temporary = tempfile::tempdir()?;
    let path = std::env::var_os("DATABASE").map_or_else(|| temporary.path().join("notes.sqlite"), PathBuf::from);
    let path: Arc<Path> = path.into();
    Task::set_queue_limit(QUEUE);

    let worker = Worker::<Http>::new(&format!("http://{address}"));
    let file = Arc::clone(&path);
    worker.on_worker_start(move |worker| -> workerman::Result<()> {
        // Nobody is served yet, so this may block.
        with_database(&file, |database| {
            database.execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", ())
        })?;
        if let Some(address) = worker.local_addr() {
            println!("listening on http://{address}");
        }
        Ok(())
    });

    worker.on_message(move |connection, request| {
        let path = Arc::clone(&path);
        let given = match request.post("note") {
            Some(note) => {
                let note = note.to_owned();
                Task::run(move || with_database(&path, |database| add(database, &note)), answer(connection))
            }
            None => Task::run(move || with_database(&path, list), answer(connection)),
        };
        if let Err(error) = given {
            let wait = if matches!(error, TaskError::Full) { "1" } else { "60" };
            connection.send(Response::new(503, &[("Retry-After", wait)], format!("{error}\n")));
        }
    });

    Worker::run_all()
}

fn add(database: &Connection, note: &str) -> rusqlite::Result<String> {
    database.prepare_cached("INSERT INTO note (text) VALUES (?1)")?.execute([note])?;
    Ok(format!("{}\n", database.last_insert_rowid()))
}

fn list(database: &Connection) -> rusqlite::Result<String> {
    let mut query = database.prepare_cached("SELECT id, text FROM note ORDER BY id DESC LIMIT 20")?;
    let lines = query.query_map((), |row| Ok(format!("{} {}\n", row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    lines.collect()
}

/// On the loop: what the browser gets of a result. If it has gone, nobody does.
fn answer(connection: TcpConnection<Http>) -> impl FnOnce(Result<rusqlite::Result<String>, Panicked>) + 'static {
    move |result| {
        let failed = match result {
            Ok(Ok(text)) => {
                connection.send(text);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.to_string(),
        };
        log::error!("{failed}");
        connection.send(Response::new(500, &[], "the database has failed\n"));
    }
}

/// Lends this thread's connection. One in which work has panicked is not seen again: that undoes what it has begun.
fn with_database<T>(path: &Path, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let database = DATABASE.take().map_or_else(|| open(path), Ok)?;
    let result = work(&database);
    DATABASE.set(Some(database));
    result
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(std::time::Duration::from_millis(PATIENCE))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    // With a WAL, that loses nothing but the last moment, and only when the machine fails.
    database.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(database)
}
