//! The decoder as a whole: cuts, bounds, and what comes out of random parts.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Parts = Vec<(PartHead, Vec<u8>)>;

/// What becomes of a body: its complete parts, the beginning of the one that is not, and how it ended.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    parts: Parts,
    open: Option<(PartHead, Vec<u8>)>,
    end: Result<(), Error>,
}

fn boundary(text: &str) -> Boundary {
    let value = format!("multipart/form-data; boundary=\"{text}\"");
    Boundary::from_content_type(value.as_bytes()).unwrap().unwrap()
}

fn decode<'a>(text: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(&boundary(text));
    let mut outcome = Outcome { parts: Vec::new(), open: None, end: Ok(()) };
    let mut ended = false;
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(Event::Part(head))) => assert!(outcome.open.replace((head, Vec::new())).is_none()),
                Ok(Some(Event::Data(data))) => {
                    assert!(!data.is_empty(), "an event is for something");
                    outcome.open.as_mut().expect("data are a part's").1.extend_from_slice(data);
                }
                Ok(Some(Event::PartEnd)) => outcome.parts.push(outcome.open.take().expect("a part began")),
                Ok(Some(Event::End)) => assert!(!std::mem::replace(&mut ended, true), "one end"),
                Ok(None) => break assert!(piece.is_empty(), "all is taken"),
                Err(error) => {
                    assert_eq!(decoder.next(&mut &b"\r\n--x"[..]), Err(error), "an error stays");
                    outcome.end = Err(error);
                    return outcome;
                }
            }
        }
    }
    outcome.end = decoder.finish();
    assert!(!ended || outcome.end.is_ok());
    outcome
}

/// Decodes whole, byte by byte and cut in two at every point, and insists on one outcome.
fn decode_every_way(text: &str, input: &[u8]) -> Outcome {
    let whole = decode(text, [input]);
    assert_eq!(decode(text, input.chunks(1)), whole, "byte by byte: {}", input.escape_ascii());
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        assert_eq!(decode(text, [head, tail]), whole, "cut at {cut}: {}", input.escape_ascii());
    }
    whole
}

fn field(name: &str) -> String {
    format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n")
}

/// A body with the boundary `B` whose parts are these.
fn body(parts: &[(&str, &str)]) -> String {
    let parts = parts.iter().map(|(name, data)| format!("--B\r\n{}{data}\r\n", field(name)));
    parts.collect::<String>() + "--B--\r\n"
}

/// Names and data of a body that is fine.
fn read(input: impl AsRef<[u8]>) -> Vec<(String, String)> {
    let outcome = decode_every_way("B", input.as_ref());
    assert_eq!((outcome.end, outcome.open), (Ok(()), None), "{}", input.as_ref().escape_ascii());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    outcome.parts.into_iter().map(|(head, data)| (head.name, text(data))).collect()
}

fn named(parts: &[(&str, &str)]) -> Vec<(String, String)> {
    parts.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect()
}

#[test]
fn parts_are_what_stands_between_delimiters() {
    for parts in [
        &[][..],
        &[("a", "1")],
        &[("a", "")],
        &[("a", "1"), ("b", ""), ("a", "2")],
        &[("a", "l1\r\nl2\r\n\r\nl3\r\n")],
        &[("a", "\r\r\n\r\n-\r\n--\r\r\n--"), ("b", "--B\r\n--b\n--B\r--B--")],
    ] {
        assert_eq!(read(body(parts)), named(parts));
    }
}

#[test]
fn what_stands_before_and_behind_the_parts_is_ignored() {
    let inner = body(&[("a", "1")]);
    for (before, behind) in
        [("\r\n", ""), ("pre--B\r\n\r\n", "\r\n--B\r\nX"), ("-\r\n-\r\n", "\0"), ("--\r\n", "--B--")]
    {
        assert_eq!(read(format!("{before}{inner}{behind}")), named(&[("a", "1")]));
    }
    assert_eq!(read("--B--"), []);
    assert_eq!(read(""), []);
}

#[test]
fn white_space_may_follow_a_boundary() {
    let input = format!("--B \t\r\n{}1\r\n--B\t\r\n{}2\r\n--B-- \t\r\n", field("a"), field("b"));
    assert_eq!(read(input), named(&[("a", "1"), ("b", "2")]));
}

#[test]
fn a_boundary_that_begins_like_itself_is_found() {
    for text in ["-", "--", "----x", "aab", "abab", "--a--a"] {
        let data = format!("\r\n--\r\n---\r\n-{text}\r\n--{}", &text[..text.len() - 1]);
        let input = format!("--{text}\r\n{}{data}\r\n--{text}--\r\n", field("a"));
        let outcome = decode_every_way(text, input.as_bytes());
        if !data.contains(&format!("\r\n--{text}")) {
            assert_eq!(outcome.end, Ok(()), "{text}");
            assert_eq!(outcome.parts[0].1, data.as_bytes(), "{text}");
        }
    }
}

#[test]
fn a_body_that_breaks_off_says_so_and_keeps_the_parts_before() {
    let input = format!("--B\r\n{}1\r\n--B\r\n{}cut", field("a"), field("b"));
    let outcome = decode_every_way("B", input.as_bytes());
    assert_eq!(outcome.end, Err(Error::Truncated));
    assert_eq!(outcome.parts.len(), 1);
    assert_eq!(outcome.open.unwrap().1, b"cut");
    let complete = body(&[("a", "1")]);
    for input in ["x", "\r", "--", "--B", "--B-", "--B\r\n", "--B\r\nContent-", &complete[..complete.len() - 3]] {
        assert_eq!(decode_every_way("B", input.as_bytes()).end, Err(Error::Truncated), "{input:?}");
    }
}

#[test]
fn a_body_that_can_be_read_in_two_ways_is_malformed() {
    let fine = field("a");
    for input in [
        "--BOUND\r\n".to_owned(),
        "--B\n".to_owned(),
        "--B\r\r\n".to_owned(),
        "--B-\r\n".to_owned(),
        "--B -\r\n".to_owned(),
        "--B\0\r\n".to_owned(),
        "--B\r\n\r\nno head".to_owned(),
        format!("--B\r\n{fine}x\r\n--BOUND\r\n"),
        format!("--B\r\n{fine}x\r\n--B \t-"),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\n\n1\n--B--\n".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n--B--\r\n".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\0\"\r\n".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\"b\"\r\n\r\n".to_owned(),
    ] {
        let outcome = decode_every_way("B", input.as_bytes());
        assert!(matches!(outcome.end, Err(Error::Malformed(_))), "{input:?}: {outcome:?}");
    }
}

#[test]
fn a_head_is_refused_at_the_byte_that_passes_its_bound() {
    let padding = MAX_HEAD - field("a").len() - "X: \r\n".len();
    let head = |padding: usize| format!("--B\r\nX: {}\r\n{}", "x".repeat(padding), field("a"));
    let fits = format!("{}1\r\n--B--", head(padding));
    assert_eq!(decode("B", [fits.as_bytes()]).end, Ok(()));
    assert_eq!(decode("B", fits.as_bytes().chunks(1)).end, Ok(()));
    let endless = format!("--B\r\n{}", "x".repeat(2 * MAX_HEAD));
    let many_lines = format!("--B\r\n{}", "X: y\r\n".repeat(MAX_HEAD));
    for input in [head(padding + 1), endless, many_lines] {
        let length = "--B\r\n".len() + MAX_HEAD;
        for pieces in [1, 7, input.len()] {
            let end = decode("B", input.as_bytes().chunks(pieces)).end;
            assert!(matches!(end, Err(Error::TooLarge(_))), "{end:?}");
            assert_eq!(decode("B", input.as_bytes()[..length].chunks(pieces)).end, Err(Error::Truncated));
            let end = decode("B", input.as_bytes()[..=length].chunks(pieces)).end;
            assert!(matches!(end, Err(Error::TooLarge(_))), "{end:?}");
        }
    }
}

#[test]
fn the_part_after_the_last_that_is_allowed_is_refused() {
    let allowed = body(&vec![("a", "1"); usize::from(MAX_PARTS)]);
    let outcome = decode("B", [allowed.as_bytes()]);
    assert_eq!((outcome.parts.len(), outcome.end), (1024, Ok(())));
    let outcome = decode("B", [body(&vec![("a", "1"); 1025]).as_bytes()]);
    assert_eq!((outcome.parts.len(), outcome.end), (1024, Err(Error::TooLarge("more than 1024 parts"))));
}

#[test]
fn memory_does_not_follow_what_a_part_holds() {
    let mut decoder = Decoder::new(&boundary("B"));
    let mut input = &b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n"[..];
    assert!(matches!(decoder.next(&mut input), Ok(Some(Event::Part(_)))));
    for _ in 0..1000 {
        let mut piece = &[b'x'; 1000][..];
        assert_eq!(decoder.next(&mut piece), Ok(Some(Event::Data(&[b'x'; 1000]))));
    }
    assert!(decoder.head.capacity() < 256);
}

/// Data with much that is like a delimiter.
fn near_delimiters(boundary: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n--".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"--".to_vec()),
        (0..boundary.len()).prop_map(|length| [b"\r\n--", &boundary.as_bytes()[..length]].concat()),
        Just([b"\n--", boundary.as_bytes()].concat()),
        vec(any::<u8>(), 0..20),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Name, file name and data.
type Part = (String, Option<String>, Vec<u8>);

/// A boundary, parts, and where to cut.
fn form() -> impl Strategy<Value = (&'static str, Vec<Part>, Vec<usize>)> {
    let boundaries =
        prop_oneof![Just("B"), Just("--"), Just("-----"), Just("aab"), Just("----WebKitFormBoundaryA b:?")];
    boundaries.prop_flat_map(|boundary| {
        let part = ("[^\\p{C}]{0,8}", proptest::option::of("[^\\p{C}/\\\\]{0,8}"), near_delimiters(boundary));
        (Just(boundary), vec(part, 0..5), vec(1..40_usize, 1..20))
    })
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded((boundary, parts, cuts) in form()) {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        let is_free = |data: &[u8]| !data.windows(delimiter.len()).any(|window| window == delimiter);
        // What follows the data could complete a delimiter that they begin.
        let whole = |data: &[u8]| is_free(&[data, &delimiter[..delimiter.len() - 1]].concat());
        prop_assume!(parts.iter().all(|(_, _, data)| whole(data)));
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let (mut input, mut expected) = (Vec::new(), Parts::new());
        for (name, file_name, data) in &parts {
            let file = file_name.as_ref().map(|name| format!("; filename=\"{}\"", quote(name))).unwrap_or_default();
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n\r\n", quote(name));
            input.extend([head.as_bytes(), data, b"\r\n"].concat());
            let full_path = file_name.clone().unwrap_or_default();
            let head = PartHead { name: name.clone(), file_name: file_name.clone(), full_path, ..PartHead::default() };
            expected.push((head, data.clone()));
        }
        input.extend(format!("--{boundary}--\r\n").bytes());
        let expected = Outcome { parts: expected, open: None, end: Ok(()) };
        prop_assert_eq!(&decode_every_way(boundary, &input), &expected);
        let (mut pieces, mut rest) = (Vec::new(), &input[..]);
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&decode(boundary, pieces), &expected);
    }

    #[test]
    fn no_bytes_make_it_panic_and_cuts_do_not_matter(
        pieces in vec(prop_oneof![
            Just(&b"--B"[..]), Just(&b"\r\n"[..]), Just(&b"--"[..]), Just(&b"\r\n--B\r\n"[..]), Just(&b" "[..]),
            Just(&b"Content-Disposition: form-data; name=a"[..]), Just(&b"; filename=\""[..]), Just(&b"\"\\"[..]),
            Just(&b"\0"[..]), Just(&b"X:"[..]), Just(&b"\xff"[..]),
        ], 0..20)
    ) {
        decode_every_way("B", &pieces.concat());
    }
}
