//! The table of workers at the start.

use super::{Versions, cell, centred, width};

/// A worker, as it stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// What the loop waits with, `epoll`.
    pub event_loop: String,
    /// `tcp`, `udp`, `unix` or `ssl`.
    pub transport: String,
    /// Whose its processes are.
    pub user: String,
    /// Its name.
    pub name: String,
    /// Its address, `none` for none.
    pub listen: String,
    /// How many processes it has.
    pub count: usize,
}

/// What PHP leaves between two columns.
const GAP: usize = 4;
const OK: &str = " [OK] ";
/// PHP counts the seven characters of the colour's tags, which nobody sees.
const STATE_WIDTH: usize = OK.len() + "<g></g>".len() + GAP;

/// The table of workers: PHP's `displayUI`, without its last line.
pub fn banner(versions: &Versions, workers: &[WorkerRow]) -> String {
    let titles = ["event-loop", "proto", "user", "worker", "listen", "count"];
    let rows: Vec<[String; 6]> = workers.iter().map(cells).collect();
    let widths: [usize; 6] =
        std::array::from_fn(|column| width(rows.iter().filter_map(|row| row.get(column)).map(String::as_str)) + GAP);
    let version_line = versions.line();
    let total = (widths.iter().sum::<usize>() + STATE_WIDTH).max(version_line.len());

    let line = |values: [&str; 6]| -> String {
        values.iter().zip(widths).map(|(value, width)| format!("{value:<width$}")).collect()
    };
    let mut text = format!("{}\n{version_line}{}\n", centred(" WORKERMAN ", total), centred(" WORKERS ", total));
    text.push_str(&format!("{}{:<STATE_WIDTH$}\n", line(titles), "state"));
    for row in &rows {
        text.push_str(&format!("{}{OK:<STATE_WIDTH$}\n", line(row.each_ref().map(String::as_str))));
    }
    if !rows.is_empty() {
        text.push_str(&format!("{}\n", centred("", total)));
    }
    text
}

fn cells(worker: &WorkerRow) -> [String; 6] {
    let WorkerRow { event_loop, transport, user, name, listen, count } = worker;
    [cell(event_loop), cell(transport), cell(user), cell(name), cell(listen), count.to_string()]
}
