//! What a browser reads from an encoded event is what was put in.
//!
//! The parser below is written from the HTML standard (§9.2.5 "Parsing an event stream", §9.2.6 "Interpreting an event
//! stream"), not from the encoder.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use workerman::ServerSentEvents;

/// What a listener is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    event: String,
    data: String,
    last_event_id: String,
}

/// An `EventSource`: the standard's buffers, and what came of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct EventSource {
    messages: Vec<Message>,
    comments: Vec<String>,
    last_event_id: String,
    reconnection_time: Option<u64>,
    line: Vec<u8>,
    after_first_line: bool,
    after_cr: bool,
    event: String,
    data: String,
}

impl EventSource {
    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.after_cr => {}
                b'\r' | b'\n' => self.end_line(),
                _ => self.line.push(*byte),
            }
            self.after_cr = *byte == b'\r';
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8(line).expect("an event stream is UTF-8");
        let bom = if self.after_first_line { None } else { line.strip_prefix('\u{feff}') };
        self.after_first_line = true;
        self.interpret(bom.unwrap_or(&line));
    }

    fn interpret(&mut self, line: &str) {
        match line.split_once(':') {
            _ if line.is_empty() => self.dispatch(),
            Some(("", comment)) => self.comments.push(comment.strip_prefix(' ').unwrap_or(comment).to_owned()),
            Some((field, value)) => self.process(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.process(line, ""),
        }
    }

    fn process(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_event_id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.reconnection_time = value.parse().ok().or(self.reconnection_time);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if data.pop().is_some() {
            let event = if event.is_empty() { "message".to_owned() } else { event };
            self.messages.push(Message { event, data, last_event_id: self.last_event_id.clone() });
        }
    }
}

fn read(stream: &str) -> EventSource {
    let mut source = EventSource::default();
    source.feed(stream.as_bytes());
    source
}

/// A call of the builder.
#[derive(Clone, Debug)]
enum Call {
    Event(String),
    Data(String),
    Id(String),
    Retry(u64),
    Comment(String),
}

fn build(calls: &[Call]) -> ServerSentEvents {
    calls.iter().fold(ServerSentEvents::new(), |event, call| match call {
        Call::Event(value) => event.event(value),
        Call::Data(value) => event.data(value),
        Call::Id(value) => event.id(value),
        Call::Retry(value) => event.retry(*value),
        Call::Comment(value) => event.comment(value),
    })
}

fn without(text: &str, banned: &[char]) -> String {
    text.replace(banned, "")
}

/// Line breaks as the standard normalises them.
fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Makes `source` see what `calls` put in, without a look at any encoding.
fn expect(source: &mut EventSource, calls: &[Call]) {
    let (mut event, mut data, mut comments) = (String::new(), Vec::new(), Vec::new());
    for call in calls {
        match call {
            Call::Event(value) => event = without(value, &['\r', '\n']),
            Call::Data(value) => data.push(normalised(value)),
            Call::Id(value) => source.last_event_id = without(value, &['\r', '\n', '\0']),
            Call::Retry(value) => source.reconnection_time = Some(*value),
            Call::Comment(value) => comments.extend(normalised(value).split('\n').map(str::to_owned)),
        }
    }
    source.comments.append(&mut comments);
    source.after_first_line = true;
    if !data.is_empty() {
        let event = if event.is_empty() { "message".to_owned() } else { event };
        source.messages.push(Message { event, data: data.join("\n"), last_event_id: source.last_event_id.clone() });
    }
}

/// Text of pieces that an encoder could get wrong.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "\r", "\n", "\r\n", "\0", ":", " ", "\u{feff}", "😀", "\u{85}", "\u{2028}",
            "data: forged", "id: 9", "event:x", "retry:1", "\n\n", "\r\r", "hello",
        ]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        text().prop_map(Call::Event),
        text().prop_map(Call::Data),
        text().prop_map(Call::Id),
        prop_oneof![any::<u64>(), 0..10_000_u64].prop_map(Call::Retry),
        text().prop_map(Call::Comment),
    ];
    vec(call, 0..8)
}

proptest! {
    #[test]
    fn a_browser_reads_what_was_put_in_and_the_next_event_is_intact(calls in calls()) {
        let marker = [Call::Event("after".into()), Call::Data("intact".into())];
        let mut expected = EventSource::default();
        expect(&mut expected, &calls);
        expect(&mut expected, &marker);
        prop_assert_eq!(read(&format!("{}{}", build(&calls), build(&marker))), expected);
    }

    #[test]
    fn a_stream_of_events_reads_the_same_however_it_is_cut(
        events in vec(calls(), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut expected, mut stream) = (EventSource::default(), String::new());
        for calls in &events {
            expect(&mut expected, calls);
            write!(stream, "{}", build(calls)).unwrap();
        }
        prop_assert_eq!(&read(&stream), &expected);

        let mut bytewise = EventSource::default();
        stream.as_bytes().chunks(1).for_each(|byte| bytewise.feed(byte));
        prop_assert_eq!(&bytewise, &expected);

        let (head, tail) = stream.as_bytes().split_at(cut.index(stream.len()));
        let mut halves = EventSource::default();
        halves.feed(head);
        halves.feed(tail);
        prop_assert_eq!(&halves, &expected);
    }

    #[test]
    fn the_order_on_the_wire_is_fixed_and_every_line_ends_in_lf(calls in calls()) {
        let text = build(&calls).to_string();
        prop_assert!(!text.contains('\r'));
        let lines = text.strip_suffix('\n').expect("a blank line ends the event");
        prop_assert!(lines.is_empty() || lines.ends_with('\n'));
        let ranks: Option<Vec<usize>> = lines
            .split_terminator('\n')
            .map(|line| [": ", "event: ", "id: ", "retry: ", "data: "].iter().position(|name| line.starts_with(name)))
            .collect();
        let ranks = ranks.expect("every line begins with a field");
        prop_assert!(ranks.is_sorted());
        for once in 1..=3 {
            prop_assert!(ranks.iter().filter(|rank| **rank == once).count() <= 1);
        }
    }
}

#[test]
fn the_example_of_the_php_manual_has_phps_bytes() {
    let event = ServerSentEvents::new().event("message").data("hello").id(1);
    assert_eq!(event.to_string(), "event: message\nid: 1\ndata: hello\n\n");
}

#[test]
fn the_example_of_the_php_tests_has_phps_bytes() {
    let event = ServerSentEvents::new().event("ping").data("some thing").id(1000).retry(5000);
    assert_eq!(event.to_string(), "event: ping\nid: 1000\nretry: 5000\ndata: some thing\n\n");
}

#[test]
fn all_fields_come_in_phps_order() {
    let event = ServerSentEvents::new().retry(5000).data("d").id("i").event("e").comment("c");
    assert_eq!(event.to_string(), ": c\nevent: e\nid: i\nretry: 5000\ndata: d\n\n");
}

#[test]
fn fields_set_to_zero_or_nothing_are_still_sent() {
    let event = ServerSentEvents::new().event("").data("").id(0).retry(0).comment("");
    assert_eq!(event.to_string(), ": \nevent: \nid: 0\nretry: 0\ndata: \n\n");
    assert_eq!(ServerSentEvents::new().to_string(), "\n");
}

#[test]
fn the_last_event_id_and_retry_win_while_data_and_comments_add_up() {
    let once = ServerSentEvents::new().comment("1").event("long name").id(100_000).retry(9).data("1");
    let twice = once.retry(10).data("2").id(2).event("e").comment("2");
    assert_eq!(twice.to_string(), ": 1\n: 2\nevent: e\nid: 2\nretry: 10\ndata: 1\ndata: 2\n\n");
}

#[test]
fn cr_lf_and_crlf_each_end_one_line_of_data_and_of_a_comment() {
    let table = [
        ("a\nb", "data: a\ndata: b\n\n"),
        ("a\rb", "data: a\ndata: b\n\n"),
        ("a\r\nb", "data: a\ndata: b\n\n"),
        ("a\n\rb", "data: a\ndata: \ndata: b\n\n"),
        ("a\r\r\nb", "data: a\ndata: \ndata: b\n\n"),
        ("a\n", "data: a\ndata: \n\n"),
        ("a\r\n", "data: a\ndata: \n\n"),
        ("\r", "data: \ndata: \n\n"),
        ("a\u{2028}b\u{85}c\u{b}d", "data: a\u{2028}b\u{85}c\u{b}d\n\n"),
    ];
    for (input, wire) in table {
        assert_eq!(ServerSentEvents::new().data(input).to_string(), wire, "{input:?}");
        assert_eq!(ServerSentEvents::new().comment(input).to_string(), wire.replace("data", ""), "{input:?}");
        assert_eq!(read(wire).messages[0].data, normalised(input));
    }
}

#[test]
fn no_value_can_forge_a_field_or_another_event() {
    for line_break in ["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"] {
        let evil = format!("x{line_break}data: forged{line_break}id: 666{line_break}retry: 1{line_break}{line_break}");
        let event = ServerSentEvents::new().comment(&evil).event(&evil).id(&evil).data(&evil);
        let source = read(&event.to_string());
        assert_eq!(source.messages.len(), 1);
        assert_eq!(source.messages[0].event, "xdata: forgedid: 666retry: 1");
        assert_eq!(source.messages[0].data, normalised(&evil));
        assert_eq!(source.last_event_id, "xdata: forgedid: 666retry: 1");
        assert_eq!(source.reconnection_time, None);
    }
}

#[test]
fn an_id_with_nul_still_reaches_the_browser() {
    assert_eq!(read(&ServerSentEvents::new().id("a\0b\0").to_string()).last_event_id, "ab");
}

#[test]
fn values_may_be_borrowed_or_owned_and_ids_any_number() {
    let owned = String::from("x");
    let by_reference = ServerSentEvents::new().event(&owned).data(&owned).id(&owned).comment(&owned);
    let by_value = ServerSentEvents::new().event(owned.clone()).data(owned.clone()).id(owned.clone()).comment(owned);
    assert_eq!(by_reference.to_string(), by_value.to_string());
    assert_eq!(ServerSentEvents::new().id(u128::MAX).to_string(), format!("id: {}\n\n", u128::MAX));
    assert_eq!(ServerSentEvents::new().id(-1_i8).to_string(), "id: -1\n\n");
}

#[test]
fn events_can_be_shared_between_threads() {
    fn assert<T: Send + Sync + Clone + Default + std::fmt::Debug>() {}
    assert::<ServerSentEvents>();
}

#[test]
fn the_parser_keeps_the_rules_of_the_standard() {
    // The standard's own examples.
    let stream = "data: YHOO\ndata: +2\ndata: 10\n\n";
    assert_eq!(read(stream).messages[0].data, "YHOO\n+2\n10");
    let blocks = read(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n");
    let seen: Vec<_> = blocks.messages.iter().map(|m| (m.data.as_str(), m.last_event_id.as_str())).collect();
    assert_eq!(seen, [("first event", "1"), ("second event", ""), (" third event", "")]);
    let seen: Vec<_> = read("data\n\ndata\ndata\n\ndata:").messages.into_iter().map(|m| m.data).collect();
    assert_eq!(seen, ["", "\n"]);
    assert_eq!(read("data:test\n\ndata: test\n\n").messages.len(), 2);
    // And its rules for the rest.
    assert_eq!(read("\u{feff}data: a\r\rdata: b\r\n\r\n").messages.len(), 2);
    assert!(read("\n\u{feff}data: a\n\n").messages.is_empty());
    assert!(read("event: a\n\nid: 1\n\n").messages.is_empty());
    assert_eq!(read("id: 1\nid: 2\0\n").last_event_id, "1");
    assert_eq!(read("retry: 10\nretry: 1x\nretry: -1\nretry\n").reconnection_time, Some(10));
}
