//! Timelines: PHP's as the app here would have written it, and both as lines that can be compared.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::list;

/// Entries in a line each: what, and what it says.
pub(crate) fn show(timeline: &[Value]) -> Vec<String> {
    let line = |entry: &Value| {
        let fields =
            entry.as_object().expect("an entry").iter().filter(|(name, _)| !matches!(name.as_str(), "x" | "id_is_int"));
        let mut fields: Vec<_> = fields
            .map(|(name, value)| match value.as_str() {
                Some(text) => format!("{name} {text}"),
                None => format!("{name} {value}"),
            })
            .collect();
        // The same fields in the same order, whoever wrote them.
        fields.sort_by_key(|field| (!field.starts_with("on") && !field.starts_with("op"), field.clone()));
        fields.join(" ")
    };
    timeline.iter().map(line).collect()
}

/// PHP's timeline, read along the operations that wrote it.
pub(crate) struct Recording<'a> {
    case: &'a Value,
    rest: VecDeque<&'a Value>,
    timers: BTreeMap<&'a str, &'a Value>,
    counts: BTreeMap<String, u64>,
    ordered: Vec<Value>,
    /// Callbacks that ran inside an operation.
    nested: VecDeque<Vec<Value>>,
}

impl<'a> Recording<'a> {
    /// The timeline, with nested callbacks after the ones that caused them.
    pub(crate) fn in_order(case: &'a Value) -> Vec<Value> {
        let rest = list(&case["timeline"]).iter().collect();
        let mut recording = Self {
            case,
            rest,
            timers: BTreeMap::new(),
            counts: BTreeMap::new(),
            ordered: Vec::new(),
            nested: VecDeque::new(),
        };
        recording.operations(&case["on"]["workerStart"], &Value::Null);
        while let Some(entry) = recording.rest.pop_front() {
            recording.ordered.push(entry.clone());
            recording.callback(entry);
            while let Some(entries) = recording.nested.pop_front() {
                recording.ordered.extend(entries);
            }
        }
        recording.ordered
    }

    fn callback(&mut self, entry: &'a Value) {
        let ops = match entry["on"].as_str() {
            None => return,
            Some("timer") => {
                self.timers.get(entry["label"].as_str().unwrap_or_default()).copied().unwrap_or(&Value::Null)
            }
            Some(event) => {
                let name = event.strip_prefix("on").unwrap_or_default();
                let name =
                    name.chars().take(1).flat_map(char::to_lowercase).chain(name.chars().skip(1)).collect::<String>();
                &self.case["on"][name]
            }
        };
        self.operations(ops, &entry["data"]);
    }

    fn operations(&mut self, ops: &'a Value, data: &Value) {
        for op in list(ops) {
            let name = op[0].as_str().expect("an operation");
            match name {
                "nth" => {
                    let count = self.counts.entry(op[1].to_string()).or_default();
                    *count += 1;
                    if op[2] == *count {
                        self.operations(&op[3], data);
                    }
                }
                "if_data" => {
                    if op[1] == *data || op[1] == data["uri"] {
                        self.operations(&op[2], data);
                    }
                }
                "set" | "unset_cb" => {}
                _ => {
                    while let Some(event) = self.rest.front().copied().filter(|entry| !entry["on"].is_null()) {
                        self.rest.pop_front();
                        let outer = std::mem::replace(&mut self.ordered, vec![event.clone()]);
                        self.callback(event);
                        self.nested.push_back(std::mem::replace(&mut self.ordered, outer));
                    }
                    if name == "timer" {
                        self.timers.insert(op[1].as_str().expect("a label"), &op[4]);
                    }
                    let entry = self.rest.pop_front().expect("an operation writes an entry");
                    assert_eq!(entry["op"], name, "{}", self.case["name"]);
                    self.ordered.push(entry.clone());
                }
            }
        }
    }
}
