//! `status`: all processes of an app on one screen.

use std::collections::BTreeSet;

use super::{Versions, cell, width};

/// What `status` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the app runs in the background.
    pub daemon: bool,
    /// Who serves.
    pub versions: Versions,
    /// When it started, in local time: `2026-11-23 06:11:34`.
    pub started: String,
    /// For how many seconds it has run.
    pub uptime: u64,
    /// Of the machine; `None` where it does not tell.
    pub load_average: Option<[LoadAverage; 3]>,
    /// The workers, in the order they were made in.
    pub workers: Vec<WorkerStatus>,
    /// Their processes; of a process with several workers, one entry for each.
    pub processes: Vec<ProcessStatus>,
}

impl Status {
    /// Sets the messages by the second, by what had come at a look so many seconds before. A process that was not there or
    /// has begun anew has none.
    pub fn set_qps(&mut self, before: &Self, seconds: u64) {
        let total = |status: &ProcessStatus| status.counts.map(|counts| counts.total_request);
        for process in &mut self.processes {
            let earlier = before.processes.iter().find(|earlier| earlier.pid == process.pid).and_then(total);
            if let Some(counts) = &mut process.counts {
                let came = earlier.and_then(|earlier| counts.total_request.checked_sub(earlier)).unwrap_or(0);
                counts.qps = came / seconds.max(1);
            }
        }
    }
}

/// A load of 3.07 is 307.
pub type LoadAverage = u32;

/// A worker, whatever processes it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// What its loop waits with, `epoll`.
    pub event_loop: String,
    /// How its processes have ended, by status.
    pub exits: Vec<Exit>,
}

/// Processes of a worker that have ended in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How they ended, as the system says it: `wait`'s status.
    pub status: i32,
    /// How many.
    pub count: u64,
}

/// A worker in one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessStatus {
    /// The process.
    pub pid: u32,
    /// The worker's address, `none` for none.
    pub listening: String,
    /// The worker's name.
    pub name: String,
    /// What it counts; `None` if it is busy and has not answered.
    pub counts: Option<Counts>,
}

/// What a process counts: all but the connections for all of its workers together, as in PHP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of memory.
    pub memory: u64,
    /// Open connections of the worker.
    pub connections: u64,
    /// Messages that could not be sent.
    pub send_fail: u64,
    /// Timers of the app.
    pub timers: u64,
    /// Messages that have come.
    pub total_request: u64,
    /// Messages since the last look, by the second.
    pub qps: u64,
}

/// The screen of `status`.
pub fn status(status: &Status) -> String {
    let mut text = global(status);
    text.push_str(PROCESS_STATUS);
    let names = width(status.workers.iter().map(|worker| worker.name.as_str()).chain(process_names(status)));
    let sockets = width(status.processes.iter().map(|process| process.listening.as_str()));
    text.push_str(&format!(
        "pid\tmemory  {:<sockets$} {:<names$} connections send_fail timers  total_request qps    status\n",
        "listening", "name"
    ));
    let mut processes: Vec<&ProcessStatus> = status.processes.iter().collect();
    processes.sort_by_key(|process| process.pid);
    for process in processes {
        let (listening, name) = (cell(&process.listening), cell(&process.name));
        let (columns, state) = match process.counts {
            Some(counts) => (columns(counts), "[idle]"),
            None => (["N/A"; 6].map(str::to_owned), "[busy] "),
        };
        let place = format!("{listening:<sockets$} {name:<names$}");
        text.push_str(&row(&process.pid.to_string(), columns, &place, state));
    }
    text.push_str(PROCESS_STATUS);
    let place = format!("{:<sockets$} {:<names$}", "-", "-");
    text.push_str(&row("Summary", columns(total(&status.processes)), &place, "[Summary] "));
    text
}

/// A screen of `status -d`, on a terminal that is cleared for it.
pub fn live(screen: &str) -> String {
    format!("\x1b[H\x1b[2J\x1b(B\x1b[m{screen}\nPress Ctrl+C to quit.\n\n")
}

const GLOBAL_STATUS: &str = "---------------------------------------------------GLOBAL STATUS---------------------------------------------------------\n";
const PROCESS_STATUS: &str = "---------------------------------------------------PROCESS STATUS--------------------------------------------------------\n";

fn global(status: &Status) -> String {
    let mode = if status.daemon { "DAEMON" } else { "DEBUG" };
    let (days, hours) = (status.uptime / 86_400, status.uptime % 86_400 / 3_600);
    let mut text = format!("Start worker in {mode} mode.\n{GLOBAL_STATUS}{}", status.versions.line());
    text.push_str(&format!(
        "start time:{}   run {days} days {hours} hours   load average: {}\n{} workers    {} processes\n",
        status.started,
        load(status.load_average),
        status.workers.len(),
        process_count(&status.processes)
    ));
    let names = width(status.workers.iter().map(|worker| worker.name.as_str()));
    text.push_str(&format!("{:<names$}     event-loop     exit_status     exit_count\n", "name"));
    for worker in &status.workers {
        let none = [Exit { status: 0, count: 0 }];
        let exits = if worker.exits.is_empty() { &none[..] } else { &worker.exits };
        for Exit { status, count } in exits {
            let (name, event_loop) = (cell(&worker.name), cell(&worker.event_loop));
            text.push_str(&format!("{name:<names$}     {event_loop:<15}{status:<16}{count:<16}\n"));
        }
    }
    text
}

fn row(pid: &str, columns: [String; 6], place: &str, state: &str) -> String {
    let [memory, connections, send_fail, timers, total_request, qps] = columns;
    format!(
        "{pid}\t{memory:<7} {place} {connections:<11} {send_fail:<9} {timers:<7} {total_request:<13} {qps:<6} {state}\n"
    )
}

fn columns(counts: Counts) -> [String; 6] {
    let Counts { memory, connections, send_fail, timers, total_request, qps } = counts;
    let numbers = [connections, send_fail, timers, total_request, qps].map(|number| number.to_string());
    let [connections, send_fail, timers, total_request, qps] = numbers;
    [megabytes(memory), connections, send_fail, timers, total_request, qps]
}

/// What a process with several workers counts for itself comes in once.
fn total(processes: &[ProcessStatus]) -> Counts {
    let mut sum = Counts::default();
    let mut seen = BTreeSet::new();
    for (pid, counts) in processes.iter().filter_map(|process| Some((process.pid, process.counts?))) {
        if seen.insert(pid) {
            sum.memory = sum.memory.saturating_add(counts.memory);
            sum.send_fail = sum.send_fail.saturating_add(counts.send_fail);
            sum.timers = sum.timers.saturating_add(counts.timers);
            sum.total_request = sum.total_request.saturating_add(counts.total_request);
            sum.qps = sum.qps.saturating_add(counts.qps);
        }
        sum.connections = sum.connections.saturating_add(counts.connections);
    }
    sum
}

/// A process with several workers is one.
fn process_count(processes: &[ProcessStatus]) -> usize {
    processes.iter().map(|process| process.pid).collect::<BTreeSet<_>>().len()
}

fn process_names(status: &Status) -> impl Iterator<Item = &str> {
    status.processes.iter().map(|process| process.name.as_str())
}

/// Two decimals, without zeros at the end, as PHP writes numbers.
fn megabytes(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100 + 512 * 1024) >> 20;
    format!("{}M", decimal(hundredths))
}

fn load(average: Option<[LoadAverage; 3]>) -> String {
    average.map_or_else(|| "-, -, -".to_owned(), |loads| loads.map(|load| decimal(load.into())).join(", "))
}

/// Hundredths as PHP writes numbers: 120 is `1.2`.
fn decimal(hundredths: u128) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(totals: &[(u32, Option<u64>)]) -> Status {
        Status {
            daemon: false,
            versions: Versions { workerman: String::new(), language: String::new(), system: String::new() },
            started: String::new(),
            uptime: 0,
            load_average: None,
            workers: Vec::new(),
            processes: totals
                .iter()
                .map(|(pid, total)| ProcessStatus {
                    pid: *pid,
                    counts: total.map(|total_request| Counts { total_request, ..Counts::default() }),
                    ..ProcessStatus::default()
                })
                .collect(),
        }
    }

    #[test]
    fn numbers_read_as_in_php() {
        const MEGABYTE: u64 = 1024 * 1024;
        for (bytes, text) in [
            (0, "0M"),
            (MEGABYTE, "1M"),
            (MEGABYTE * 6 / 5, "1.2M"),
            (MEGABYTE * 571 / 100, "5.71M"),
            (MEGABYTE * 100, "100M"),
            (MEGABYTE * 1_000 + 1, "1000M"),
            (u64::MAX, "17592186044416M"),
        ] {
            assert_eq!(megabytes(bytes), text);
        }
        assert_eq!(load(Some([307, 128, 50])), "3.07, 1.28, 0.5");
        assert_eq!(load(Some([0, 100, 1])), "0, 1, 0.01");
        assert_eq!(load(None), "-, -, -");
    }

    #[test]
    fn messages_by_the_second_are_what_came_since_the_look_before() {
        let before = look(&[(1, Some(10)), (2, Some(10)), (3, None), (4, Some(10))]);
        let mut now = look(&[(1, Some(30)), (2, Some(9)), (3, Some(5)), (4, None), (5, Some(7))]);
        now.set_qps(&before, 2);
        let qps: Vec<_> = now.processes.iter().map(|process| process.counts.map(|counts| counts.qps)).collect();
        assert_eq!(qps, [Some(10), Some(0), Some(0), None, Some(0)]);
    }

    #[test]
    fn whatever_a_process_says_there_is_a_screen() {
        let most =
            Counts { memory: u64::MAX, connections: u64::MAX, send_fail: 1, timers: 1, total_request: 1, qps: 1 };
        let process =
            |pid| ProcessStatus { pid, name: "x".repeat(70_000), counts: Some(most), ..ProcessStatus::default() };
        let processes = vec![process(7), process(8)];
        assert_eq!(total(&processes).memory, u64::MAX);
        let rows = processes.clone();
        let shown = status(&Status { processes: rows, ..look(&[]) });
        assert!(shown.contains(&processes[0].name));
    }

    #[test]
    fn a_process_with_two_workers_counts_once_but_for_connections() {
        let counts = Counts { memory: 1 << 20, connections: 2, send_fail: 1, timers: 3, total_request: 5, qps: 7 };
        let one = ProcessStatus { pid: 7, counts: Some(counts), ..ProcessStatus::default() };
        let busy = ProcessStatus { pid: 8, counts: None, ..ProcessStatus::default() };
        assert_eq!(total(&[one.clone(), one, busy]), Counts { connections: 4, ..counts });
    }
}
