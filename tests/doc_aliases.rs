//! Whoever searches the documentation for a PHP name finds the Rust one.
//!
//! The search finds an item by a part of its name, and by its aliases. So an item whose name does not contain the PHP
//! name carries that as `#[doc(alias = "..")]`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// A PHP class with its members, and what they are here.
type Class = (&'static str, &'static [(&'static str, &'static str)]);

const CLASSES: &[Class] = &[
    (
        "Worker",
        &[
            ("__construct", "new"),
            ("onWorkerStart", "on_worker_start"),
            ("onWorkerStop", "on_worker_stop"),
            ("onConnect", "on_connect"),
            ("onMessage", "on_message"),
            ("onClose", "on_close"),
            ("onError", "on_error"),
            ("onBufferFull", "on_buffer_full"),
            ("onBufferDrain", "on_buffer_drain"),
            ("onWebSocketConnect", "on_websocket_connect"),
            ("onWebSocketConnected", "on_websocket_connected"),
            ("onWebSocketPing", "on_websocket_ping"),
            ("onWebSocketPong", "on_websocket_pong"),
            ("onWebSocketClose", "on_websocket_close"),
            ("name", "name"),
            ("name", "set_name"),
            ("connections", "connections"),
            ("connections", "connection"),
            ("getSocketName", "local_addr"),
            ("getSocketName", "local_path"),
            ("getSocketName", "socket_name"),
            ("user", "set_socket_owner"),
            ("group", "set_socket_owner"),
            ("listen", "listen"),
            ("unlisten", "unlisten"),
            ("runAll", "run_all"),
            ("stopAll", "stop_all"),
            ("stopAll", "stop_all_gracefully"),
            ("stopAll", "stop_all_with_code"),
            ("stopTimeout", "set_stop_timeout"),
            ("count", "count"),
            ("count", "set_count"),
            ("reusePort", "set_reuse_port"),
            ("pidFile", "set_pid_file"),
            ("logFile", "set_log_file"),
            ("logFileMaxSize", "set_log_file_max_size"),
            ("stdoutFile", "set_stdout_file"),
        ],
    ),
    (
        "TcpConnection",
        &[
            ("id", "id"),
            ("connections", "find"),
            ("onMessage", "on_message"),
            ("onClose", "on_close"),
            ("onError", "on_error"),
            ("onBufferFull", "on_buffer_full"),
            ("onBufferDrain", "on_buffer_drain"),
            ("onWebSocketConnect", "on_websocket_connect"),
            ("onWebSocketConnected", "on_websocket_connected"),
            ("onWebSocketPing", "on_websocket_ping"),
            ("onWebSocketPong", "on_websocket_pong"),
            ("onWebSocketClose", "on_websocket_close"),
            ("websocketType", "set_websocket_type"),
            ("protocol", "set_protocol"),
            ("send", "send"),
            ("send", "send_raw"),
            ("pipe", "pipe"),
            ("close", "close"),
            ("close", "close_with"),
            ("destroy", "destroy"),
            ("pauseRecv", "pause_recv"),
            ("resumeRecv", "resume_recv"),
            ("getStatus", "status"),
            ("getRemoteIp", "remote_ip"),
            ("getRemotePort", "remote_port"),
            ("getRemoteAddress", "remote_address"),
            ("getLocalIp", "local_ip"),
            ("getLocalPort", "local_port"),
            ("getLocalAddress", "local_address"),
            ("isIpV4", "is_ipv4"),
            ("isIpV6", "is_ipv6"),
            ("bytesRead", "bytes_read"),
            ("bytesWritten", "bytes_written"),
            ("getSendBufferQueueSize", "send_buffer_queue_size"),
            ("headers", "set_headers"),
            ("maxSendBufferSize", "max_send_buffer_size"),
            ("maxSendBufferSize", "set_max_send_buffer_size"),
            ("defaultMaxSendBufferSize", "set_default_max_send_buffer_size"),
            ("maxPackageSize", "max_package_size"),
            ("maxPackageSize", "set_max_package_size"),
            ("defaultMaxPackageSize", "set_default_max_package_size"),
        ],
    ),
    ("Command", &[("parseCommand", ""), ("getArgv", "from_arguments")]),
    ("Timer", &[("add", "add"), ("delay", "delay"), ("repeat", "repeat"), ("del", "del"), ("delAll", "del_all")]),
    ("Http", &[("uploadTmpDir", "set_upload_tmp_dir")]),
    (
        "UploadedFile",
        &[
            ("name", "name"),
            ("full_path", "full_path"),
            ("type", "content_type"),
            ("size", "size"),
            ("error", "error"),
            ("tmp_name", "path"),
            ("move_uploaded_file", "save_to"),
        ],
    ),
    (
        "Request",
        &[
            ("method", "method"),
            ("path", "path"),
            ("uri", "uri"),
            ("queryString", "query_string"),
            ("protocolVersion", "protocol_version"),
            ("host", "host"),
            ("host", "host_without_port"),
            ("header", "header"),
            ("header", "headers"),
            ("get", "get"),
            ("get", "get_array"),
            ("get", "get_all"),
            ("post", "post"),
            ("post", "post_array"),
            ("post", "post_all"),
            ("post", "json"),
            ("cookie", "cookie"),
            ("cookie", "cookies"),
            ("file", "file"),
            ("file", "file_array"),
            ("file", "files"),
            ("trailer", "trailer"),
            ("trailer", "trailers"),
            ("rawHead", "raw_head"),
            ("rawBody", "raw_body"),
            ("rawBuffer", "raw_buffer"),
            ("session", "session"),
            ("sessionId", "session_id"),
            ("sessionRegenerateId", "session_regenerate_id"),
        ],
    ),
    (
        "Session",
        &[
            ("get", "get"),
            ("set", "set"),
            ("put", "set"),
            ("put", "put"),
            ("delete", "delete"),
            ("pull", "pull"),
            ("forget", "forget"),
            ("all", "all"),
            ("flush", "flush"),
            ("has", "has"),
            ("exists", "exists"),
            ("getId", "id"),
            ("save", "save"),
            ("refresh", "refresh"),
            ("gc", "gc"),
            ("handlerClass", "set_handler"),
            ("getCookieParams", "config"),
        ],
    ),
    (
        "SessionConfig",
        &[
            ("name", "name"),
            ("lifetime", "lifetime"),
            ("cookieLifetime", "cookie_lifetime"),
            ("cookiePath", "cookie_path"),
            ("domain", "domain"),
            ("secure", "secure"),
            ("httpOnly", "http_only"),
            ("sameSite", "same_site"),
            ("gcProbability", "gc_interval"),
            ("autoUpdateTimestamp", "auto_update_timestamp"),
        ],
    ),
    ("FileSessionHandler", &[("sessionSavePath", "new"), ("save_path", "new")]),
    ("MemorySessionHandler", &[]),
    (
        "Response",
        &[
            ("header", "with_header"),
            ("withHeader", "with_header"),
            ("withHeaders", "with_headers"),
            ("withoutHeader", "without_header"),
            ("getHeader", "header"),
            ("getHeaders", "headers"),
            ("withStatus", "with_status"),
            ("getStatusCode", "status"),
            ("getReasonPhrase", "reason_phrase"),
            ("withBody", "with_body"),
            ("withFile", "with_file"),
            ("withFile", "file"),
            ("rawBody", "raw_body"),
            ("withProtocolVersion", "with_protocol_version"),
            ("cookie", "with_cookie"),
        ],
    ),
    (
        "Cookie",
        &[
            ("maxAge", "max_age"),
            ("path", "path"),
            ("domain", "domain"),
            ("secure", "secure"),
            ("httpOnly", "http_only"),
            ("sameSite", "same_site"),
        ],
    ),
    (
        "UdpWorker",
        &[
            ("__construct", "new"),
            ("onWorkerStart", "on_worker_start"),
            ("onWorkerStop", "on_worker_stop"),
            ("onMessage", "on_message"),
            ("onError", "on_error"),
            ("getSocketName", "local_addr"),
            ("name", "set_name"),
            ("listen", "listen"),
            ("unlisten", "unlisten"),
        ],
    ),
    (
        "UdpConnection",
        &[
            ("send", "send"),
            ("send", "send_raw"),
            ("close", "close"),
            ("close", "close_with"),
            ("getRemoteIp", "remote_ip"),
            ("getRemotePort", "remote_port"),
            ("getRemoteAddress", "remote_address"),
            ("getLocalIp", "local_ip"),
            ("getLocalPort", "local_port"),
            ("getLocalAddress", "local_address"),
            ("isIpV4", "is_ipv4"),
            ("isIpV6", "is_ipv6"),
        ],
    ),
    ("Status", &[]),
    ("ServerSentEvents", &[]),
    ("Chunk", &[("__construct", "new")]),
];

/// The constants of PHP's `TcpConnection`, and the variants of `Status` here.
const STATUSES: &[(&str, &str)] = &[
    ("STATUS_INITIAL", "Initial"),
    ("STATUS_CONNECTING", "Connecting"),
    ("STATUS_ESTABLISHED", "Established"),
    ("STATUS_CLOSING", "Closing"),
    ("STATUS_ENDING", "Ending"),
    ("STATUS_CLOSED", "Closed"),
];

/// The aliases of each public item, by its type and name; a type's own stand under its name and "".
type Aliases = HashMap<(String, String), Vec<String>>;

#[test]
fn every_php_member_is_found_by_its_name() {
    let aliases = aliases();
    let mut missing = Vec::new();
    for (class, members) in CLASSES {
        if !aliases.contains_key(&((*class).to_owned(), String::new())) {
            missing.push(format!("there is no public {class}"));
        }
        for (php, rust) in *members {
            match aliases.get(&((*class).to_owned(), (*rust).to_owned())) {
                None => missing.push(format!("{class}::{rust} ({php} in PHP) does not exist")),
                Some(aliases) if rust.contains(php) || aliases.iter().any(|alias| alias == php) => {}
                Some(_) => missing.push(format!("{class}::{rust} lacks #[doc(alias = \"{php}\")]")),
            }
        }
    }
    assert!(missing.is_empty(), "not to be found:\n{}", missing.join("\n"));
}

#[test]
fn every_php_status_is_found_by_its_name() {
    let aliases = aliases();
    let of_the_type = aliases.get(&("Status".to_owned(), String::new())).cloned().unwrap_or_default();
    for (php, rust) in STATUSES {
        let own = aliases.get(&("Status".to_owned(), (*rust).to_owned()));
        let own = own.unwrap_or_else(|| panic!("there is no Status::{rust}"));
        assert!(own.iter().chain(&of_the_type).any(|alias| alias == php), "Status::{rust} lacks the alias {php}");
    }
}

#[test]
fn no_alias_is_only_the_name_again() {
    for ((class, name), aliases) in aliases() {
        assert!(!aliases.contains(&name), "{class}::{name}: an alias that says nothing");
    }
}

/// Reads the sources: rustfmt's layout tells items from members, and attributes stand directly above them.
fn aliases() -> Aliases {
    let mut aliases = Aliases::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut aliases);
    assert!(!aliases.is_empty(), "the sources are found");
    aliases
}

fn read(directory: &Path, aliases: &mut Aliases) {
    for entry in fs::read_dir(directory).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            read(&path, aliases);
        } else {
            read_file(&fs::read_to_string(&path).expect("a source file can be read"), aliases);
        }
    }
}

fn read_file(text: &str, aliases: &mut Aliases) {
    let mut class = String::new();
    let mut is_enum = false;
    let mut above: Vec<String> = Vec::new();
    for line in text.lines() {
        let item = line.trim_start();
        if let Some(alias) = item.strip_prefix("#[doc(alias = \"").and_then(|rest| rest.strip_suffix("\")]")) {
            above.push(alias.to_owned());
            continue;
        }
        if item.starts_with("///") || item.starts_with("#[") {
            continue;
        }
        let is_member = line.starts_with("    ") && !line.starts_with("     ");
        if item.len() == line.len() {
            is_enum = item.starts_with("pub enum ");
            let declares = item.strip_prefix("pub struct ").or_else(|| item.strip_prefix("pub enum "));
            if let Some(rest) = declares {
                class = word(rest);
                aliases.insert((class.clone(), String::new()), std::mem::take(&mut above));
            } else if let Some(name) = inherent_impl(item) {
                class = name;
            } else if item.starts_with("impl") || item.starts_with("pub trait ") {
                class.clear();
            }
        } else if is_member && !class.is_empty() {
            let function = item.strip_prefix("pub fn ").or_else(|| item.strip_prefix("pub const fn "));
            let variant = is_enum.then_some(item).filter(|item| item.starts_with(char::is_uppercase));
            if let Some(name) = function.or(variant).map(word) {
                aliases.entry((class.clone(), name)).or_default().append(&mut above);
            }
        }
        above.clear();
    }
}

/// `impl<P: Codec> Worker<P> {` is about `Worker`; the implementation of a trait is about nothing here.
fn inherent_impl(item: &str) -> Option<String> {
    let rest = item.strip_prefix("impl")?;
    if rest.contains(" for ") {
        return None;
    }
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest.trim_start() };
    Some(word(rest))
}

fn word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}
