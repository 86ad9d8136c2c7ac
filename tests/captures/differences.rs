//! The one list of what is not as in PHP Workerman 5.2.2: case by case, what we do instead and why.
//!
//! It is checked both ways: a difference that is not here fails the test, and so does an entry that is no longer true.
//! What holds for all cases of a kind (`Date`, the chunks of event streams, callbacks that never nest) is a rule in the
//! runner of that kind and stands in its module's text.

/// The entries for one file of recordings.
pub(crate) struct List {
    /// Members that do not exist yet, and the cases that need them. What exists is compared all the same, as far as the
    /// case can be replayed without them.
    pub(crate) later: &'static [(&'static str, &'static [&'static str])],
    /// A reason, and the cases it explains, each with what we do instead: for requests the status of our refusal, the
    /// number of requests delivered and fields; for answers lines taken away and added (`-` PHP's, `+` ours) and how
    /// the connection ends; for connections entries of the timeline.
    pub(crate) differences: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    /// PHP's behaviour is marked there as one not to copy, and yet nothing that is compared differs: why not.
    pub(crate) agreed: &'static [(&'static str, &'static str)],
}

/// `http_requests.jsonl`
pub(crate) static REQUESTS: List = List {
    later: &[],
    differences: &[
        (
            "RFC 9112 §2.3: a version of HTTP that we do not speak is 505; PHP delivers HTTP/1.2",
            &[("version_1.2", "505 HTTP Version Not Supported; 0 requests")],
        ),
        (
            "PHP reads the target as a URL (parse_url) and finds hosts and ports in it; RFC 9112 §3.2.1: origin form is a path and a query, so `path` is the text up to `?`",
            &[
                ("target_double_slash", "path=//evil/x"),
                ("target_double_slash_only", "path=//"),
                ("target_colon_port", "path=/a:80"),
                ("target_double_slash_at", "path=//u:p@h:8080/x"),
                ("target_double_slash_bad_port", "path=//h:99999/x"),
                ("target_slash_number_colon", "path=/1:2"),
            ],
        ),
        (
            "RFC 3986 §2: a target is ASCII; bytes above 127 must be percent-encoded",
            &[
                ("target_utf8_raw", "400 Bad Request; 0 requests"),
                ("query_unicode_name", "400 Bad Request; 0 requests"),
            ],
        ),
        (
            "RFC 9110 §8.3.1: media types have no case, and JSON is no form; `json` reads it whatever its type",
            &[("body_json_upper_type_not_json", "post -{\\\"u\\\":1}=")],
        ),
        (
            "values of cookies are decoded as `Response::with_cookie` encodes them; PHP's `cookie` leaves what its own response has encoded",
            &[("cookie_percent_not_decoded", "cookie -a=b%20c; cookie +a=b c")],
        ),
        (
            "PHP keeps what it made of a body's bytes, whatever type they come with next",
            &[("body_same_bytes_two_types", "post -zz=1; post +{\\\"zz\\\":1}=")],
        ),
        (
            "RFC 9110 §5.6.6: parameters have no order, a value may be a token, a quote in it may be escaped; RFC 2046 §5.1.1: a boundary ends where the parameter does, and a preamble may stand before the first",
            &[
                (
                    "multipart_filename_before_name",
                    "post -a_txt\\\";_name=\\\"f=x; file +f=a.txt; a.txt; ; 11f6ad8ec52a2984abaafd7c3b516503785c2072; 1; error 0",
                ),
                ("multipart_unquoted_names", "post +f=x"),
                (
                    "multipart_file_name_escaped_quote",
                    "file -f=a\\\\; a\\\\; ; 11f6ad8ec52a2984abaafd7c3b516503785c2072; 1; error 0; file +f=a\\\"b.txt; a\\\"b.txt; ; 11f6ad8ec52a2984abaafd7c3b516503785c2072; 1; error 0",
                ),
                ("multipart_boundary_then_charset", "post +a=1"),
                ("multipart_preamble", "post +a=1"),
            ],
        ),
        (
            "RFC 9110 §5.5: white space around a field's value is none of it, and there may be none",
            &[
                ("multipart_part_header_no_space", "post +a=1; post +b=2"),
                ("chunked_trailer_spaces", "trailer -sig=sig   ; trailer -x-t=v ; trailer +sig=sig; trailer +x-t=v"),
            ],
        ),
        (
            "RFC 2046 §5.1.1: multipart without a boundary has no parts; PHP reads it as a form",
            &[(
                "multipart_no_boundary",
                "post ---BOUND\\r\\nContent-Disposition:_form-data;_name=\\\"a\\\"\\r\\n\\r\\n1\\r\\n--BOUND--\\r\\n",
            )],
        ),
        (
            "RFC 9110 §5.5: bytes above 127 in a value are opaque; `header` gives text, with U+FFFD for what is not UTF-8, and `raw_head` the bytes",
            &[("header_latin1", "header -x-a: \\xe9; header +x-a: \\xef\\xbf\\xbd")],
        ),
        ("RFC 9110 §5.5: NUL in a header's value is refused", &[("header_nul", "400 Bad Request; 0 requests")]),
        (
            "RFC 9112 §2.2: a bare LF inside a line, which another server may read as two, is refused",
            &[("header_bare_lf", "400 Bad Request; 0 requests")],
        ),
        (
            "RFC 6585 §5: more than 100 header lines are refused; PHP has no such limit",
            &[("header_100_lines", "431 Request Header Fields Too Large; 0 requests")],
        ),
        (
            "RFC 9110 §7.2 and RFC 3986 §3.2: a Host has no userinfo and no comma, its port is at most 65535, and it is ASCII",
            &[
                ("host_a_b_c", "400 Bad Request; 0 requests"),
                ("host_localhost_99999", "400 Bad Request; 0 requests"),
                ("host_h_st", "400 Bad Request; 0 requests"),
            ],
        ),
        (
            "RFC 9112 §6.1: a transfer coding in HTTP/1.0 means faulty framing",
            &[("chunked_version_10", "400 Bad Request; 0 requests")],
        ),
        (
            "RFC 9112 §7.1.1: white space before a chunk extension (BWS) is allowed",
            &[("reject_chunked_size_tab", "not refused; 1 requests")],
        ),
        (
            "RFC 9112 §2.2: an empty line before a request line is ignored",
            &[
                ("pipeline_crlf_between", "not refused; 2 requests"),
                ("reject_line_leading_crlf", "not refused; 1 requests"),
                ("reject_line_crlfcrlf_only", "not refused"),
            ],
        ),
        (
            "RFC 9110 §9.1: a method is any token, in any case, and which to allow is the app's affair; PHP knows seven",
            &[
                ("reject_line_method_lower", "not refused; 1 requests"),
                ("reject_line_method_trace", "not refused; 1 requests"),
            ],
        ),
        (
            "RFC 9112 §3.2.2: a server must accept the absolute form",
            &[("reject_line_absolute_form", "not refused; 1 requests")],
        ),
        (
            "RFC 9112 §3.2.4: `OPTIONS *` asks about the server itself",
            &[("reject_line_options_star", "not refused; 1 requests")],
        ),
        (
            "RFC 9112 §6.1: an unknown transfer coding before the final `chunked` is 501",
            &[("reject_head_te_gzip_chunked", "501 Not Implemented")],
        ),
    ],
    agreed: &[(
        "lf_inside_head",
        "marked because PHP lets a bare LF pass in other lines; here it stands in the value of Host, which PHP refuses too",
    )],
};

/// `http_responses.jsonl`
pub(crate) static RESPONSES: List = List {
    later: &[],
    differences: &[
        (
            "Rust's types: `send` takes text, bytes, a Response or an event; a number is sent as `number.to_string()`. PHP turns an array into the word Array, and an object ends its process",
            &[
                ("scalar_int_12345", "does not compile"),
                ("scalar_int_negative", "does not compile"),
                ("scalar_float_1_0", "does not compile"),
                ("scalar_float_big", "does not compile"),
                ("scalar_bool_true", "does not compile"),
                ("scalar_bool_false", "does not compile"),
                ("array_list", "does not compile"),
                ("object_not_stringable", "does not compile"),
            ],
        ),
        (
            "RFC 9110 §8.6, §15.3.5, §15.4.5: 204 and 304 have neither a body nor, here, its length and type",
            &[
                ("response_phrases_2xx", "-Content-Type: text/html;charset=utf-8; -Content-Length: 0"),
                ("response_phrases_3xx", "-Content-Type: text/html;charset=utf-8; -Content-Length: 0"),
                ("response_204", "-Content-Type: text/html;charset=utf-8; -Content-Length: 0"),
                ("response_204_body", "-Content-Type: text/html;charset=utf-8; -Content-Length: 1; -x"),
                ("response_304_headers", "-Content-Type: text/html;charset=utf-8; -Content-Length: 0"),
            ],
        ),
        (
            "RFC 9110 §15: a status code has three digits; 500 is sent and an error logged",
            &[(
                "response_unknown_status",
                "-HTTP/1.1 0 ; +HTTP/1.1 500 Internal Server Error; -HTTP/1.1 1000 ; +HTTP/1.1 500 Internal Server Error",
            )],
        ),
        (
            "PHP takes the text `0` for an empty one",
            &[
                ("response_reason_zero", "-HTTP/1.1 404 Not Found; +HTTP/1.1 404 0"),
                ("cookie_path_zero", "-Set-Cookie: a=1; +Set-Cookie: a=1; Path=0"),
            ],
        ),
        (
            "RFC 9110 §15.2: 1xx is an answer before the answer; it has no content, and the request stays open",
            &[("response_100", "-Content-Type: text/html;charset=utf-8; -Content-Length: 0; -Connection: keep-alive")],
        ),
        (
            "RFC 9110 §5.1: names of headers are compared without case, so the default Content-Type is not added to `content-type`",
            &[
                ("response_content_type_lower", "-Content-Type: text/html;charset=utf-8"),
                ("connection_headers_content_type_lower", "-Content-Type: text/html;charset=utf-8"),
            ],
        ),
        (
            "RFC 9112 §9.6: who says `Connection: close` closes",
            &[("response_connection_close", "eof"), ("file_own_connection", "eof")],
        ),
        (
            "RFC 9112 §6.3: there is one Content-Length, the right one; PHP sends its own beside the app's",
            &[("response_own_content_length", "-Content-Length: 3"), ("file_own_content_length", "-Content-Length: 1")],
        ),
        (
            "RFC 9110 §15.5.17: a part that is not in the file; PHP sends nothing as `bytes 10-9/10`, or ends its process",
            &[
                (
                    "file_offset_at_end",
                    "-HTTP/1.1 206 Partial Content; -Content-Length: 0; -Accept-Ranges: bytes; -Content-Range: bytes 10-9/10; +HTTP/1.1 416 Range Not Satisfiable; +Content-Range: bytes */10; -Content-Type: text/plain; -Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT; +Content-Type: text/html;charset=utf-8; +Content-Length: 0",
                ),
                (
                    "file_offset_past_end",
                    "+HTTP/1.1 416 Range Not Satisfiable; +Content-Range: bytes */10; +Connection: keep-alive; +Content-Type: text/html;charset=utf-8; +Content-Length: 0; +; open",
                ),
            ],
        ),
        (
            "media types are those of a table that is kept, by the extension in any case; PHP has one of its own",
            &[
                (
                    "file_upper_extension",
                    "-Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"a.TXT\\\"; +Content-Type: text/plain",
                ),
                ("file_mime_02", "-Content-Type: image/x-ms-bmp; +Content-Type: image/bmp"),
                ("file_mime_03", "-Content-Type: application/javascript; +Content-Type: text/javascript"),
                (
                    "file_mime_05",
                    "-Content-Type: application/x-pilot; +Content-Type: application/x-mobipocket-ebook; -Content-Type: application/x-pilot; +Content-Type: application/vnd.palm; -Content-Type: application/x-sea; +Content-Type: application/octet-stream; +Content-Disposition: attachment; filename=\\\"f.sea\\\"",
                ),
                (
                    "file_mime_06",
                    "-Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.dll\\\"; +Content-Type: application/x-msdownload",
                ),
                (
                    "file_mime_08",
                    "-Content-Type: audio/x-m4a; +Content-Type: audio/m4a; -Content-Type: audio/x-realaudio; +Content-Type: audio/x-pn-realaudio",
                ),
                (
                    "file_mime_09",
                    "-Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.mjs\\\"; +Content-Type: text/javascript",
                ),
                (
                    "file_mime_11",
                    "-Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.php\\\"; +Content-Type: application/x-httpd-php; -Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.gz\\\"; +Content-Type: application/gzip; -Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.tar\\\"; +Content-Type: application/x-tar; -Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.xz\\\"; +Content-Type: application/x-xz; -Content-Type: application/octet-stream; -Content-Disposition: attachment; filename=\\\"f.7Z\\\"; +Content-Type: application/x-7z-compressed",
                ),
            ],
        ),
        (
            "RFC 9110 §5.3: the order of different headers means nothing. A header that may not be sent counts as not set, so the lines come in the order they have without headers",
            &[
                ("response_header_value_lf", "-Connection: keep-alive; +Connection: keep-alive"),
                ("cookie_name_crlf", "-Connection: keep-alive; +Connection: keep-alive"),
                ("cookie_path_crlf", "-Connection: keep-alive; +Connection: keep-alive"),
                ("connection_headers_crlf_on_response", "-Connection: keep-alive; +Connection: keep-alive"),
            ],
        ),
        (
            "RFC 9110 §5.1, §5.5: a header whose name is not a token or whose value has a NUL is left out, with a warning; then as if it had not been set",
            &[
                ("response_header_value_nul", "-X-Nul: a\\u{0}b; -Connection: keep-alive; +Connection: keep-alive"),
                ("response_header_name_space", "-X Bad: 1; -Connection: keep-alive; +Connection: keep-alive"),
            ],
        ),
        (
            "PHP compares names with case, and its withHeaders adds a second line where withHeader replaces; `with_headers` replaces, `with_added_header` adds",
            &[
                ("response_with_headers_existing", "-A: 1"),
                ("response_with_headers_content_type_twice", "-Content-Type: text/plain"),
            ],
        ),
        (
            "RFC 9110 §5.1: `without_header` compares names without case; then as if it had not been set",
            &[("response_without_header_case", "-A: 1; -Connection: keep-alive; +Connection: keep-alive")],
        ),
        (
            "RFC 9112 §2.3: a version is 1.0 or 1.1; PHP writes whatever it is given, but for line breaks",
            &[("response_version_crlf", "-HTTP/1.1X: y 200 OK; +HTTP/1.1 200 OK")],
        ),
        (
            "RFC 9110 §5.1 and RFC 9112 §6.2: names of headers are compared without case, so `transfer-encoding` opens an answer in chunks as well; a length and a transfer coding exclude each other",
            &[("chunked_lower_case_header", "-Content-Length: 5; +5")],
        ),
        (
            "RFC 9112 §7.1: a chunk is part of a body whose head has announced it; without one it could only be read as an answer, so it is dropped and logged",
            &[("chunk_alone", "returns [false]; -3; -abc"), ("connection_headers_on_chunk", "returns [false]; open")],
        ),
        (
            "RFC 9110 §8.3.1: media types have parameters and no case; anything that begins with `text/event-stream` opens a stream, which has no length",
            &[("sse_open_charset", "-Content-Length: 0"), ("sse_open_upper_value", "-Content-Length: 0")],
        ),
        (
            "RFC 9112 §7.1: PHP announces chunks and sends none; our stream has the line and the chunks, and the rule takes both off",
            &[("sse_open_transfer_encoding", "-Transfer-Encoding: chunked")],
        ),
        (
            "HTML §9.2.6: CR and CRLF end a line as LF does; PHP splits data at LF only and lets CR begin a field",
            &[
                ("sse_event_data_crlf", "-data: a; +data: a\\n"),
                ("sse_event_data_cr", "-data: a\\revent: evil\\n; +data: a\\n; +data: event: evil\\n"),
            ],
        ),
        (
            "HTML §9.2.6: a line break would begin a field of its own; it is left out of `event` and `id`, as is NUL of `id`, with which a browser ignores the line",
            &[
                ("sse_event_event_lf", "-event: a\\n; -data: evil\\n; +event: adata: evil\\n"),
                ("sse_event_id_nul", "-id: a\\u{0}b\\n; +id: ab\\n"),
                ("sse_event_id_lf", "-id: 1\\n; -retry: 1\\n; +id: 1retry: 1\\n"),
            ],
        ),
        (
            "HTML §9.2.6: a line break in a comment begins a comment, not a field",
            &[("sse_event_comment_lf", "-data: evil\\n; +: data: evil\\n")],
        ),
        (
            "Rust's types: `retry` takes a number, and an event has no other fields than the standard's",
            &[
                ("sse_event_retry_text", "does not compile"),
                ("sse_event_retry_lf", "does not compile"),
                ("sse_event_unknown_field", "does not compile"),
                ("sse_event_upper_case_field", "does not compile"),
            ],
        ),
        ("RFC 9110 §9.3.2: the answer to HEAD has no body", &[("request_HEAD_1.1_same_answer", "-hello")]),
    ],
    agreed: &[],
};

/// `connection_semantics.jsonl`
pub(crate) static CONNECTIONS: List = List {
    later: &[
        ("linger_timeout, protocol, recv_buffer_queue_size, transport", &["accessors"]),
        ("pipe", &["pipe_backend_closes", "pipe_data_before_backend_connected"]),
        (
            "client connections",
            &[
                "client_close_before_connect",
                "client_close_while_connecting",
                "client_connect_refused_queued_send",
                "client_reconnect_in_on_close",
                "client_text_protocol",
                "client_remote_accessors",
            ],
        ),
        ("client connections, error_handler", &["client_unknown_scheme"]),
        ("error_handler", &["throw_with_error_handler", "throw_in_on_close_with_handler"]),
    ],
    differences: &[
        (
            "PHP throws at a negative interval; here it counts as 0, with a warning, and the timer runs at once",
            &[(
                "timer_negative",
                "-op timer_throw message $timeInterval can not less than 0 throws RuntimeException; -op timer_throw message $timeInterval can not less than 0 throws RuntimeException; +op timer_throw; +op timer_throw; +on timer; +on timer",
            )],
        ),
        (
            "RFC 9112 §9.3.2: answers come in the order of the requests; the second request is delivered when the first is answered",
            &[(
                "http_async_replies_out_of_order",
                "-on onMessage data {\"method\":\"GET\",\"uri\":\"/fast\"}; -op send ret true; +on onMessage data {\"method\":\"GET\",\"uri\":\"/fast\"}; +op send ret true; wire -fastHTTP/1.1 200 OK; wire +slowHTTP/1.1 200 OK; wire -slow; wire +fast",
            )],
        ),
        (
            "RFC 9112 §9.3.2: a second answer could only be read as the answer to the next request; it is dropped",
            &[(
                "http_send_twice_for_one_request",
                "-op send ret true; +op send ret false; wire -oneHTTP/1.1 200 OK; wire -Connection: keep-alive; wire -Content-Type: text/html;charset=utf-8; wire -Content-Length: 3; wire -; wire -two; wire +one",
            )],
        ),
    ],
    agreed: &[],
};

/// `text_frame_custom.jsonl`
pub(crate) static MESSAGES: List = List {
    later: &[],
    differences: &[
        (
            "a message may have as many bytes as the limit says; PHP's text protocol wants one less",
            &[("text_max_package_reached", "messages=abcde; wire=abcde\\n; open")],
        ),
        (
            "the length of a frame counts itself, so one below 4 is none; PHP waits for ever, or reads on in the middle",
            &[("frame_length_zero", "eof"), ("frame_length_3", "wire=")],
        ),
    ],
    agreed: &[],
};

/// `sessions.jsonl`
#[cfg(feature = "session")]
pub(crate) static SESSIONS: List = List {
    later: &[],
    differences: &[
        (
            "the defaults of PHP's class hold, whatever a php.ini says: HttpOnly, and the lifetime of 1440 s",
            &[(
                "cookie_stock_php_ini",
                "-Set-Cookie: PHPSID={1}; Path=/; +Set-Cookie: PHPSID={1}; Max-Age=1440; Path=/; HttpOnly",
            )],
        ),
        (
            "RFC 6265 §4.1.2.3: a dot in front of a domain is left off",
            &[(
                "cookie_domain",
                "-Set-Cookie: PHPSID={1}; Domain=.example.com; Path=/; +Set-Cookie: PHPSID={1}; Domain=example.com; Path=/",
            )],
        ),
        (
            "an id that a client made up is not taken on: somebody else may have given it to the client (session fixation)",
            &[
                ("incoming_valid", "-\"abcdefghijklmnop1234567890\"; +\"{1}\"; +Set-Cookie: PHPSID={1}; Path=/"),
                ("incoming_quoted", "-\"abcdefghijklmnop1234567890\"; +\"{1}\"; +Set-Cookie: PHPSID={1}; Path=/"),
                ("incoming_16_chars", "-\"abcdefghijklmnop\"; +\"{1}\"; +Set-Cookie: PHPSID={1}; Path=/"),
                (
                    "incoming_256_chars",
                    "-\"aaaaaaaaaaaaaaaaaaa and so on, 258 bytes; +\"{1}\"; +Set-Cookie: PHPSID={1}; Path=/",
                ),
            ],
        ),
        (
            "the same: an id whose session is over, because its time is or nothing is left in it, is not taken on again",
            &[
                ("pull", "+Set-Cookie: PHPSID={1}; Path=/"),
                ("expired", "+Set-Cookie: PHPSID={1}; Path=/; +Set-Cookie: PHPSID={2}; Path=/"),
            ],
        ),
        (
            "an id that would not be found again is refused",
            &[(
                "sid_switch_invalid",
                "-\"short\"; +\"error: a session id has 16 to 128 letters, digits, `,` or `-`\"; -Set-Cookie: PHPSID=short; Path=/",
            )],
        ),
    ],
    agreed: &[],
};

/// `websocket.jsonl`
pub(crate) static WEBSOCKETS: List = List {
    later: &[],
    differences: &[
        (
            "RFC 6455 §4.2.1: a handshake is a GET of HTTP/1.1 with one Host and one key of 16 bytes; PHP asks for a version and a key that is not empty",
            &[
                (
                    "handshake_key_empty",
                    "-on onWebSocketConnect path /chat; -on onWebSocketConnected; -HTTP/1.1 101 Switching Protocol; -Sec-WebSocket-Version: 13; +HTTP/1.1 400 Bad Request; eof",
                ),
                (
                    "handshake_key_short",
                    "-on onWebSocketConnect path /chat; -on onWebSocketConnected; -HTTP/1.1 101 Switching Protocol; -Sec-WebSocket-Version: 13; +HTTP/1.1 400 Bad Request; eof",
                ),
                (
                    "handshake_no_host",
                    "-on onWebSocketConnect path /; -on onWebSocketConnected; -HTTP/1.1 101 Switching Protocol; -Sec-WebSocket-Version: 13; +HTTP/1.1 400 Bad Request; eof",
                ),
                (
                    "handshake_http_10",
                    "-on onWebSocketConnect path /chat; -on onWebSocketConnected; -HTTP/1.1 101 Switching Protocol; +HTTP/1.0 426 Upgrade Required; eof",
                ),
                (
                    "handshake_getx_method",
                    "-on onWebSocketConnect path /chat; -on onWebSocketConnected; -HTTP/1.1 101 Switching Protocol; -Sec-WebSocket-Version: 13; +HTTP/1.1 400 Bad Request; eof",
                ),
                (
                    "handshake_key_twice",
                    "-on onWebSocketConnect path /chat; -on onWebSocketConnected; -HTTP/1.1 101 Switching Protocol; -Sec-WebSocket-Version: 13; +HTTP/1.1 400 Bad Request; eof",
                ),
            ],
        ),
        (
            "RFC 9110 §5.5: white space around a value is no part of it",
            &[(
                "handshake_version_trailing_space",
                "+on onWebSocketConnect path /chat; +on onWebSocketConnected; -HTTP/1.1 426 Upgrade Required; -Sec-WebSocket-Version: 13; +HTTP/1.1 101 Switching Protocols; open",
            )],
        ),
        (
            "RFC 6455 §4.2.2: a sub-protocol that the client does not offer would make it hang up; it is left out",
            &[("handshake_own_headers", "-Sec-WebSocket-Protocol: chat")],
        ),
        (
            "who is not let in without another answer is told 403; PHP hangs up",
            &[("handshake_reject_plain_close", "+HTTP/1.1 403 Forbidden")],
        ),
        (
            "messages leave in the order in which they were sent; PHP lets out what waited for the handshake after what `onWebSocketConnected` sends",
            &[("handshake_send_in_connected", "-81 2; +81 2")],
        ),
        (
            "what is no request is found at the end of its head, or when the time for a head is over",
            &[("handshake_frame_before_handshake", "-HTTP/1.1 400 Bad Request; open")],
        ),
        (
            "Rust's types: a message is text or bytes; JSON is `serde_json::to_string`",
            &[
                ("server_array_json", "does not compile"),
                ("server_int", "does not compile"),
                ("server_null", "does not compile"),
            ],
        ),
        (
            "RFC 6455 §7.1.2: closing begins with a Close frame and waits for the peer's; PHP hangs up",
            &[("server_close", "+close 1000; open"), ("server_close_data", "+close 1000; open")],
        ),
        (
            "RFC 7692: messages are compressed with clients that have agreed to it, and with no others",
            &[(
                "server_deflate_type",
                "-c1 \\xcaH\\xcd\\xc9\\xc9W\\xc8@\\x90\\x00\\x00; -c1 \\xca@\\x17\\x00\\x00; +81 hello hello hello; +81 hello hello hello",
            )],
        ),
        (
            "a message that is sent on stays what it was; PHP does not know that it was binary",
            &[
                ("client_binary_1_echo", "-81 \\x00; +82 \\x00"),
                ("client_binary_126_echo", "-81 of 126; +82 of 126"),
                ("fragments_binary", "-81 \\x00\\x01\\x02; +82 \\x00\\x01\\x02"),
            ],
        ),
        (
            "RFC 6455 §5.2: a length is written as short as can be",
            &[
                ("client_non_minimal_126", "-on onMessage data ok; -op echo ret true; -81 ok; +close 1002; eof"),
                ("client_non_minimal_127", "-on onMessage data ok; -op echo ret true; -81 ok; +close 1002; eof"),
            ],
        ),
        (
            "RFC 6455 §5.4: control frames between fragments are no part of the message, and a continuation continues something",
            &[
                (
                    "fragments_pong_between",
                    "-on onMessage data last; +on onMessage data first-last; -81 last; +81 first-last",
                ),
                (
                    "continuation_without_start",
                    "-on onMessage data orphan; -op echo ret true; -81 orphan; +close 1002; eof",
                ),
            ],
        ),
        (
            "RFC 6455 §5.5: control frames have at most 125 bytes and are not fragmented",
            &[("ping_126", "-8a of 126; +close 1002; eof"), ("ping_fragmented", "+close 1002; eof")],
        ),
        (
            "RFC 6455 §5.5.2: a Ping is answered, whatever the callback does; in PHP the callback answers or nobody does, and what it sends is a Pong",
            &[("ping_handler_no_reply", "+8a x"), ("ping_handler_sends", "-8a own; +8a x; +81 own")],
        ),
        (
            "RFC 6455 §5.5.1: a Close is answered, with its code; PHP says 1000 to all, and nothing if there is a callback",
            &[
                ("close_1001", "-close 1000; +close 1001"),
                ("close_handler_silent", "+close 1000; eof"),
                ("worker_close_cb_vs_websocket_close", "+close 1000"),
            ],
        ),
        (
            "RFC 6455 §7.1.7, §7.4: whoever breaks the protocol is told so; PHP hangs up, takes it, or ends its process",
            &[
                ("close_bad_code", "-close 1000; +close 1002"),
                ("close_bad_utf8", "-close 1000; +close 1007"),
                ("unmasked_short", "+close 1002; eof"),
                ("opcode_3", "+close 1002"),
                ("opcode_11", "+close 1002"),
                ("opcode_15", "+close 1002"),
                ("rsv1_invalid_deflate", "-on onWorkerStop; -on worker_process_exit status 64000; +close 1002"),
                ("rsv2", "-on onMessage data rsv2; -op echo ret true; -81 rsv2; +close 1002; eof"),
                ("bad_utf8_text", "-on onMessage data ÿþ; -op echo ret true; -81 \\xff\\xfe; +close 1007; eof"),
                ("too_big", "+close 1009"),
                ("too_big_fragments", "+close 1009"),
                ("length_high_bit", "+close 1002"),
            ],
        ),
    ],
    agreed: &[],
};
