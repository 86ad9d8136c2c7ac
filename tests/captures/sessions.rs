//! Sessions: the app does PHP's operations, and what they answer, the bytes, and what is stored are compared.
//!
//! By rule, not by entry:
//! * PHP took the settings of a stock php.ini, so those are set here: no `Max-Age`, no `HttpOnly`. One case shows what the
//!   defaults are;
//! * an id must be known to be taken on, so that of a client is, where the case is about what is in a session and not
//!   about ids that come in: an empty session is stored, which counts as no file;
//! * what is stored is JSON, and PHP's `serialize` there; ids are numbered in the order in which they are seen.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use serde_json::{Map, Value};
use workerman::{
    FileSessionHandler, Request, SameSite, Session, SessionConfig, SessionError, SessionHandler, TcpConnection,
};

use super::common::{Log, serve};
use super::{Findings, bytes, changes, list, name, recorded, responses, without_additions};

pub(crate) fn replay(case: &Value) -> Findings {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let handler = FileSessionHandler::new(folder.path()).expect("a folder for sessions");
    let log = Log::new();
    let write = log.writer();
    let operations: Vec<Value> = list(&case["requests"]).iter().map(|request| request["ops"].clone()).collect();
    let operations = Cell::new(operations.into_iter());
    let (simulation, worker) = serve(move |connection: TcpConnection<_>, request: Request| {
        let mut rest = operations.take();
        let now = rest.next().unwrap_or_default();
        operations.set(rest);
        for operation in list(&now) {
            write(run(&request, list(operation)).unwrap_or_else(|error| Value::String(format!("error: {error}"))));
        }
        connection.send("ok")
    });
    let mut known = Vec::new();
    for cookie in list(&case["requests"]).iter().filter_map(|request| request["cookie"].as_str()) {
        let id = cookie.split_once('=').map_or("", |(_, id)| id);
        known.push(id.trim_matches('"').to_owned());
        if !name(case).starts_with("incoming_") {
            handler.write(id, b"{}", Duration::MAX).expect("it is written");
        }
    }
    Session::set_handler(handler);
    Session::configure(config(case));

    let peer = simulation.connect(worker);
    let mut wire = Vec::new();
    for request in list(&case["requests"]) {
        let path = request["path"].as_str().expect("a path");
        let cookie = request["cookie"].as_str().map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
        peer.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{cookie}\r\n"));
        simulation.run();
        wire.extend(peer.read());
    }

    let php: Vec<Value> = list(&case["results"]).iter().map(|result| text_of(&result["ret"])).collect();
    let php = seen(&php, &recorded(&bytes(&case["wire"])), stored_by_php(case));
    let ours = seen(&log.take(), &without_additions(&wire), stored_by_us(folder.path()));
    let mut found = Findings::default();
    for change in changes(&numbered(php, &known), &numbered(ours, &known)) {
        found.differs(change);
    }
    let end = if peer.is_finished() { "eof" } else { "open" };
    if case["end"] != end {
        found.differs(end);
    }
    found
}

/// What PHP's properties were set to.
fn config(case: &Value) -> SessionConfig {
    let stock = SessionConfig::default();
    if name(case) == "cookie_stock_php_ini" {
        return stock;
    }
    list(&case["config"]).iter().fold(stock.cookie_lifetime(0).http_only(false), |config, pair| {
        let value = &pair[1];
        let text = || value.as_str().expect("text");
        let flag = || value.as_bool().expect("a bool");
        match pair[0].as_str().expect("a property") {
            "Session::name" => config.name(text()),
            "Session::domain" => config.domain(text()),
            "Session::cookiePath" => config.cookie_path(text()),
            "Session::secure" => config.secure(flag()),
            "Session::httpOnly" => config.http_only(flag()),
            "Session::cookieLifetime" => {
                config.cookie_lifetime(value.as_u64().and_then(|n| n.try_into().ok()).expect("seconds"))
            }
            "Session::lifetime" => config.lifetime(value.as_u64().unwrap_or(0)),
            "Session::sameSite" if text() == "Lax" => config.same_site(SameSite::Lax),
            "Session::sameSite" if text() == "None" => config.same_site(SameSite::None),
            other => unreachable!("{other}"),
        }
    })
}

/// One operation of the app, and what it answers.
fn run(request: &Request, operation: &[Value]) -> Result<Value, SessionError> {
    let argument = |at: usize| operation.get(at).map_or(Value::Null, argument_of);
    let text = |at: usize| argument(at).as_str().unwrap_or_default().to_owned();
    match operation[0].as_str() {
        Some("sid") => return request.session_id(operation.get(1).and_then(Value::as_str)).map(Value::String),
        Some("regen") => {
            return request.session_regenerate_id(operation[1].as_bool().unwrap_or_default()).map(Value::String);
        }
        _ => {}
    }
    let session = request.session()?;
    let one = |pair: &Value| (pair[0].as_str().unwrap_or_default().to_owned(), argument_of(&pair[1]));
    Ok(match operation[1].as_str().expect("a method") {
        "get" => session.get(&text(2)).unwrap_or_else(|| argument(3)),
        "pull" => session.pull(&text(2)).unwrap_or_else(|| argument(3)),
        "has" => session.has(&text(2)).into(),
        "exists" => session.exists(&text(2)).into(),
        "all" => of_map(session.all()),
        method => {
            match method {
                "set" => session.set(&text(2), argument(3))?,
                "put" => session.put(list(&operation[2]["map"]).iter().map(one))?,
                "delete" => session.delete(&text(2)),
                "forget" => session.forget(list(&operation[2]).iter().filter_map(Value::as_str)),
                "save" => session.save()?,
                other => unreachable!("{other}"),
            }
            Value::Null
        }
    })
}

fn argument_of(value: &Value) -> Value {
    if value["bytes"].is_null() { value.clone() } else { text_of(&value["bytes"]) }
}

/// PHP's strings, whose characters are bytes, as text.
fn text_of(value: &Value) -> Value {
    match value {
        Value::String(_) => String::from_utf8(bytes(value)).expect("UTF-8").into(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), text_of(value))).collect(),
        other => other.clone(),
    }
}

/// PHP has one empty array.
fn of_map(map: Map<String, Value>) -> Value {
    if map.is_empty() { Value::Array(Vec::new()) } else { Value::Object(map) }
}

/// All that is compared, a line each.
fn seen(results: &[Value], wire: &str, mut stored: Vec<String>) -> Vec<String> {
    stored.sort();
    let short = |text: String| if text.len() < 200 { text } else { responses::lines(&text).concat() };
    results.iter().map(|result| short(result.to_string())).chain(responses::lines(wire)).chain(stored).collect()
}

fn stored_by_us(folder: &std::path::Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("the folder can be read").map(|file| file.expect("a file"));
    let files = files.map(|file| {
        let data: Value = serde_json::from_slice(&fs::read(file.path()).expect("a file")).expect("JSON");
        (file.file_name().to_string_lossy().into_owned(), data)
    });
    files.filter(|(_, data)| data.as_object().is_none_or(|data| !data.is_empty())).map(stored).collect()
}

fn stored_by_php(case: &Value) -> Vec<String> {
    let files = case["stored_files"].as_object().into_iter().flatten();
    files
        .map(|(name, data)| {
            let data = bytes(data);
            let mut rest = data.as_slice();
            stored((name.clone(), unserialize(&mut rest)))
        })
        .collect()
}

fn stored((name, data): (String, Value)) -> String {
    format!("{name}: {data}")
}

/// PHP's `unserialize`, as far as the recordings need it.
fn unserialize(rest: &mut &[u8]) -> Value {
    let kind = rest[0];
    if kind == b'N' {
        *rest = &rest[2..];
        return Value::Null;
    }
    *rest = &rest[2..];
    let end = rest.iter().position(|byte| matches!(byte, b';' | b':')).expect("an end");
    let number = std::str::from_utf8(&rest[..end]).expect("a number").to_owned();
    *rest = &rest[end + 1..];
    match kind {
        b'i' => number.parse::<i64>().expect("a number").into(),
        b'd' => number.parse::<f64>().expect("a number").into(),
        b'b' => (number == "1").into(),
        b's' => {
            let length: usize = number.parse().expect("a length");
            let text = std::str::from_utf8(&rest[1..=length]).expect("UTF-8").to_owned();
            *rest = &rest[length + 3..];
            text.into()
        }
        b'a' => {
            *rest = &rest[1..];
            let mut map = Map::new();
            for _ in 0..number.parse::<usize>().expect("a count") {
                let name = unserialize(rest);
                let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                map.insert(name, unserialize(rest));
            }
            *rest = &rest[1..];
            Value::Object(map)
        }
        other => unreachable!("{}", char::from(other)),
    }
}

/// The lines with `{1}`, `{2}` and so on for ids that were made, PHP's `{SID1}` among them.
fn numbered(lines: Vec<String>, known: &[String]) -> Vec<String> {
    let is_id = |word: &str| word.len() == 26 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut ids: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for line in lines {
        let line = line.replace("{SID1}", &"1".repeat(26)).replace("{SID2}", &"2".repeat(26));
        let mut words: Vec<&str> = line.split(|char: char| !char.is_ascii_alphanumeric()).collect();
        words.retain(|word| is_id(word) && !known.iter().any(|known| known == word));
        let mut shown = line.clone();
        for word in words {
            let at = ids.iter().position(|id| id == word).unwrap_or_else(|| {
                ids.push(word.to_owned());
                ids.len() - 1
            });
            shown = shown.replace(word, &format!("{{{}}}", at + 1));
        }
        all.push(shown);
    }
    all
}
