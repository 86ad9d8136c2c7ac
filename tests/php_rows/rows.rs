//! The list: each row of PHP's tests, and where it is checked.

/// A row of PHP's tests.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// How many inputs of the table belong to it.
    pub(crate) cases: usize,
    /// Tests of `php_rows.rs`, or of another file: `file::test`.
    pub(crate) tests: &'static [&'static str],
    /// What those tests find otherwise than PHP, and why. Inputs of the table name theirs themselves.
    pub(crate) differs: &'static str,
    /// What cannot be tested yet, for lack of which member.
    pub(crate) later: &'static str,
}

const fn inputs(what: &'static str, cases: usize) -> Row {
    Row { what, cases, tests: &[], differs: "", later: "" }
}

const fn tested(what: &'static str, tests: &'static [&'static str]) -> Row {
    Row { what, cases: 0, tests, differs: "", later: "" }
}

const fn later(what: &'static str, later: &'static str) -> Row {
    Row { what, cases: 0, tests: &[], differs: "", later }
}

const DECODED: &[&str] = &["a_request_is_what_was_sent"];
const HEAD_AS_SENT: &str =
    "RFC 9112 §7.1.3 puts a length in place of the coding only as an example: the head stays as it was sent";

const JSON_IS_NO_FORM: &str = "RFC 9112 §7.1.3: the head stays as it was sent; RFC 8259: JSON is no form, so it is read by `json` and not by `post`";

const TRIMMED: &str = "RFC 9110 §5.5: white space around a field's value is none of it; PHP leaves what is behind it";

/// The sections of PHP's tests, how many rows each has, and the rows.
pub(crate) const SECTIONS: [(&str, usize, &[Row]); 9] = [
    ("heads", 18, HEADS),
    ("chunked", 10, CHUNKED),
    ("answers", 4, ANSWERS),
    ("connections", 4, CONNECTIONS),
    ("responses", 3, RESPONSES),
    ("lines and frames", 2, LINES),
    ("websocket", 5, WEBSOCKET),
    ("websocket clients", 3, CLIENTS),
    ("programs", 3, PROGRAMS),
];

const HEADS: &[Row] = &[
    later("requestClass gives the class of requests, and restores it", "requestClass: requests are of one type"),
    inputs("bytes without an end", 1),
    inputs("a method that is none of the seven", 1),
    inputs("a length over maxPackageSize", 1),
    inputs("HTTP/1.1 without headers", 1),
    inputs("malformed header lines", 12),
    inputs("two Hosts", 2),
    inputs("two transfer codings", 2),
    inputs("a name with an underscore", 1),
    inputs("bad Hosts", 8),
    inputs("good Hosts", 11),
    Row { tests: DECODED, ..inputs("HTTP/1.0", 5) },
    inputs("16 KiB of bytes without an end", 2),
    inputs("a head of 16 KiB", 2),
    inputs("a path of 500 bytes", 1),
    inputs("requests of all kinds", 6),
    inputs("request lines that are none", 16),
    inputs("lengths and codings", 10),
];

const CHUNKED: &[Row] = &[
    inputs("chunked bodies", 12),
    inputs("chunked bodies that are not complete", 4),
    inputs("malformed chunks", 5),
    inputs("chunked bodies over maxPackageSize", 4),
    Row { differs: HEAD_AS_SENT, ..tested("two chunks, decoded", DECODED) },
    tested("trailers, decoded", DECODED),
    Row { differs: JSON_IS_NO_FORM, ..tested("chunked JSON, decoded", DECODED) },
    Row { differs: TRIMMED, ..tested("chunked bodies at the edge, decoded", DECODED) },
    tested("found, then decoded", DECODED),
    tested("names of trailers in any case, with a default", &["a_trailer_is_found_in_any_case_or_not_at_all"]),
];

const ANSWERS: &[Row] = &[
    Row {
        differs: "RFC 9110 §6.6.1: a `Date` in every answer",
        ..tested("text, with headers", &["an_answer_has_phps_bytes"])
    },
    Row {
        differs: "RFC 9110 §6.6.1: a `Date` in every answer",
        ..tested("a Response, with headers", &["an_answer_has_phps_bytes"])
    },
    tested("the same bytes, decoded twice", &["the_same_bytes_are_equal_requests"]),
    Row { tests: &["requests_of_one_write_come_in_order"], ..inputs("pipelining", 5) },
];

const CONNECTIONS: &[Row] = &[
    tested("two requests in one write", &["requests_of_one_write_come_in_order"]),
    tested("end() with nothing queued", &["an_ended_connection_closes_when_its_linger_time_is_over"]),
    tested("end() with a message behind", &["nothing_behind_an_end_is_delivered"]),
    Row {
        later: "UdpConnection::jsonSerialize",
        ..tested("a connected UDP socket", &["a_udp_connection_says_who_and_where_and_sends"])
    },
];

const RESPONSES: &[Row] = &[
    Row {
        differs: "RFC 9110 §5.1: names have no case, so `with_headers` replaces; §6.6.1: a `Date` in every answer",
        ..tested("a Response and what is asked of it", &["a_response_is_what_was_made_of_it"])
    },
    Row {
        differs: "RFC 9110 §6.6.1, §8.8.3: a `Date` and an `ETag` beside PHP's lines",
        ..tested("a picture from its beginning", &["a_file_names_its_type_and_its_age"])
    },
    tested("an event with all its fields", &["an_event_has_its_fields_in_phps_order"]),
];

/// Rows 45 and 46 of PHP's.
const LINES: &[Row] = &[
    tested(
        "Text",
        &[
            "text_and_frame::a_line_longer_than_the_limit_closes",
            "text_and_frame::a_line_waits_for_its_end_and_comes_without_it",
        ],
    ),
    tested("Frame", &["text_and_frame::a_frame_waits_for_its_length_and_for_its_end"]),
];

/// Rows 47 to 51.
const WEBSOCKET: &[Row] = &[
    tested(
        "decoded: masked, compressed, with a length of 16 bits",
        &[
            "websocket_frames::messages_of_any_length_are_echoed_as_what_they_were",
            "websocket_deflate::messages_of_all_kinds_are_echoed_under_every_agreement",
            "websocket_peers::messages_come_back_as_they_were",
        ],
    ),
    Row {
        differs: "RFC 7692 §5: compressed for clients that have agreed to it, whatever the type is",
        ..tested(
            "encoded: each form of a length, and compressed",
            &[
                "websocket_frames::messages_of_any_length_are_echoed_as_what_they_were",
                "websocket_deflate::messages_of_all_kinds_are_echoed_under_every_agreement",
            ],
        )
    },
    tested("inflated over maxPackageSize", &["websocket_deflate::a_decompression_bomb_is_1009"]),
    Row {
        differs: "RFC 6455 §7.1.7: who breaks the protocol is told why",
        ..tested(
            "found, too long, or without a mask",
            &[
                "websocket_frames::messages_may_be_cut_anywhere",
                "websocket_frames::a_size_that_is_declared_counts_before_its_bytes_arrive",
                "websocket_frames::a_protocol_error_is_1002",
            ],
        )
    },
    Row {
        later: "arrays are no messages: `serde_json::to_string` makes text of them",
        ..tested(
            "sent before the handshake",
            &["websocket_handshake::what_is_sent_early_waits_for_the_handshake_and_keeps_its_order"],
        )
    },
];

/// Rows 52 to 54.
const CLIENTS: &[Row] = &[
    later("what a server sends, decoded", "connections of our own making"),
    later("what a client sends, encoded", "connections of our own making"),
    later("the answer to a handshake", "connections of our own making"),
];

/// Rows 55 to 57.
const PROGRAMS: &[Row] = &[
    tested(
        "a server of HTTP",
        &[
            "php_programs::the_http_server_answers_as_phps",
            "php_programs::its_events_come_and_end",
            "php_programs::its_session_is_read_once",
        ],
    ),
    tested("a server of UDP", &["udp::the_example_answers"]),
    Row {
        differs: "RFC 6455 §7.1.2: closing begins with a Close frame; who is not let in is told 403",
        ..tested(
            "a server of WebSocket and its client",
            &["php_programs::the_websocket_server_talks_and_either_side_may_leave"],
        )
    },
];
