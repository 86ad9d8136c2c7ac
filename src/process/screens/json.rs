//! `status --json`: the same numbers for programs.
//!
//! Written by hand, because it has to be there without the feature `json`: names are ours, so only the texts are escaped.

use super::status::{Counts, Exit, ProcessStatus, Status, WorkerStatus};

/// The status as one line of JSON. A process that is busy has `null` for what it counts; memory is in bytes.
pub fn status_json(status: &Status) -> String {
    let versions = &status.versions;
    let mut processes: Vec<&ProcessStatus> = status.processes.iter().collect();
    processes.sort_by_key(|process| process.pid);
    object(&[
        ("daemon", status.daemon.to_string()),
        ("workerman", quoted(&versions.workerman)),
        ("language", quoted(&versions.language)),
        ("system", quoted(&versions.system)),
        ("started", quoted(&status.started)),
        ("uptime", status.uptime.to_string()),
        ("load_average", status.load_average.map_or_else(null, |loads| array(loads.into_iter().map(hundredths)))),
        ("workers", array(status.workers.iter().map(worker))),
        ("processes", array(processes.into_iter().map(process))),
    ]) + "\n"
}

fn worker(worker: &WorkerStatus) -> String {
    let exit = |exit: &Exit| object(&[("status", exit.status.to_string()), ("count", exit.count.to_string())]);
    object(&[
        ("name", quoted(&worker.name)),
        ("event_loop", quoted(&worker.event_loop)),
        ("exits", array(worker.exits.iter().map(exit))),
    ])
}

fn process(process: &ProcessStatus) -> String {
    object(&[
        ("pid", process.pid.to_string()),
        ("name", quoted(&process.name)),
        ("listening", quoted(&process.listening)),
        ("counts", process.counts.map_or_else(null, counts)),
    ])
}

fn counts(counts: Counts) -> String {
    let Counts { memory, connections, send_fail, timers, total_request, qps } = counts;
    object(&[
        ("memory", memory.to_string()),
        ("connections", connections.to_string()),
        ("send_fail", send_fail.to_string()),
        ("timers", timers.to_string()),
        ("total_request", total_request.to_string()),
        ("qps", qps.to_string()),
    ])
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

fn hundredths(value: u32) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn null() -> String {
    "null".to_owned()
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if u32::from(character) < 0x20 => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Versions;
    use super::*;

    #[test]
    fn what_is_written_is_read_by_a_parser() {
        let counts = Counts { memory: 1, connections: 2, send_fail: 3, timers: 4, total_request: 5, qps: 6 };
        let name = "a \"quoted\"\\ name\n\u{1}\u{7f}ä";
        let status = Status {
            daemon: true,
            versions: Versions { workerman: "0.1.0".into(), language: "Rust/1".into(), system: "Linux/6".into() },
            started: "2026-11-23 06:11:34".into(),
            uptime: 90_000,
            load_average: Some([307, 128, 5]),
            workers: vec![WorkerStatus {
                name: name.into(),
                event_loop: "epoll".into(),
                exits: vec![Exit { status: 9, count: 2 }],
            }],
            processes: vec![
                ProcessStatus { pid: 10, listening: "none".into(), name: name.into(), counts: Some(counts) },
                ProcessStatus { pid: 11, listening: "none".into(), name: name.into(), counts: None },
            ],
        };
        let written: Value = serde_json::from_str(&status_json(&status)).expect("it is JSON");
        let expected = json!({
            "daemon": true, "workerman": "0.1.0", "language": "Rust/1", "system": "Linux/6",
            "started": "2026-11-23 06:11:34", "uptime": 90_000, "load_average": [3.07, 1.28, 0.05],
            "workers": [{"name": name, "event_loop": "epoll", "exits": [{"status": 9, "count": 2}]}],
            "processes": [
                {"pid": 10, "name": name, "listening": "none", "counts": {
                    "memory": 1, "connections": 2, "send_fail": 3, "timers": 4, "total_request": 5, "qps": 6}},
                {"pid": 11, "name": name, "listening": "none", "counts": null},
            ],
        });
        assert_eq!(written, expected);
    }
}
