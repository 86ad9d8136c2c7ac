//! Forms with files as PHP Workerman reads them, except where the list here says why not; and what a form may cost.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

use serde_json::{Map, Value, json};
use workerman::testing::fuzz::{self, Boundary, Error, Form, Uploads};

const TRUNCATED: &str = "the body ends before its last boundary";
const OTHER_LINE: &str = "a boundary with something else in its line";

/// Where PHP's parser gives up or errs, what we read instead, and why that is right.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    // case, post and file as JSON (files as names), the reason
    ("multipart_filename_before_name", r#"[{}, {"f": "a.txt"}]"#, "parameters have no order (RFC 9110 §5.6.6)"),
    ("multipart_unquoted_names", r#"[{"f": "x"}, {}]"#, "a value may be a token"),
    ("multipart_file_name_escaped_quote", r#"[{}, {"f": "a\"b.txt"}]"#, "a quote can be escaped"),
    ("multipart_part_header_no_space", r#"[{"a": "1", "b": "2"}, {}]"#, "white space behind a colon is optional"),
    ("multipart_boundary_then_charset", r#"[{"a": "1"}, {}]"#, "the boundary ends where the parameter does"),
    ("multipart_preamble", r#"[{"a": "1"}, {}]"#, "RFC 2046 §5.1.1 has a preamble"),
    ("multipart_no_boundary", r#"[{}, {}]"#, "without a boundary there are no parts, and it is no query either"),
    ("multipart_file_empty_name_attr", r#"[{}, {"": ""}]"#, "names are told as sent; who makes the map decides"),
];

/// What is no complete form. The parts before are the same as in PHP.
const ERRORS: &[(&str, &str)] = &[
    ("multipart_no_boundary", "no boundary"),
    ("multipart_no_end_dashes", TRUNCATED),
    ("multipart_truncated", TRUNCATED),
    ("multipart_content_boundary_prefix_line", OTHER_LINE),
    ("multipart_lf_only", OTHER_LINE),
];

fn cases() -> Vec<Value> {
    let lines = include_str!("captures/http_requests.jsonl").lines();
    let cases = lines.map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let cases: Vec<_> = cases.filter(|case| name(case).starts_with("multipart_")).collect();
    assert_eq!(cases.len(), 35, "all cases are there");
    cases
}

fn name(case: &Value) -> &str {
    case["name"].as_str().expect("a case has a name")
}

/// Each character of the recordings is one byte.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.chars().map(|char| u8::try_from(char).expect("a byte")).collect(),
        Value::Array(parts) => parts.iter().flat_map(bytes).collect(),
        _ => panic!("{value} is no text"),
    }
}

/// Text as the recordings have it.
fn recorded(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

/// Reads the body of a request in pieces of a size.
fn read(case: &Value, size: usize, uploads: &Uploads) -> (Option<Form>, Result<(), Error>) {
    let wire = bytes(&case["segments"]);
    let request = fuzz::receive([&wire[..]], 1 << 20).requests.pop().expect("a request");
    let boundary = match Boundary::from_content_type(request.header("content-type").unwrap_or_default().as_bytes()) {
        Ok(boundary) => boundary.expect("a multipart type"),
        Err(error) => return (None, Err(error)),
    };
    let mut form = Form::new(&boundary, uploads.clone());
    // An error stays, so the end tells it.
    let _ = request.raw_body().chunks(size).try_for_each(|piece| form.append(piece));
    let end = form.finish();
    (Some(form), end)
}

/// Puts a value where PHP puts it: `a[]` and `a[k]` are all that the recordings have.
fn put(map: &mut Map<String, Value>, name: &str, value: Value) {
    let name = recorded(name);
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        None => drop(map.insert(name, value)),
        Some((name, "")) => {
            let list = map.entry(name).or_insert_with(|| json!([]));
            list.as_array_mut().expect("a list").push(value);
        }
        Some((name, key)) => {
            let entry = map.entry(name).or_insert_with(|| json!({}));
            entry.as_object_mut().expect("a map").insert(key.to_owned(), value);
        }
    }
}

fn map(value: &Value) -> Value {
    if value == &json!([]) { json!({}) } else { value.clone() }
}

#[test]
fn forms_are_read_as_in_php_except_where_the_list_says_why_not() {
    for case in cases() {
        for (size, in_memory) in [(usize::MAX, 1 << 16), (1, 1 << 16), (7, 0)] {
            let (form, end) = read(&case, size, &Uploads { in_memory, ..Uploads::default() });
            let expected =
                ERRORS.iter().find(|(listed, _)| *listed == name(&case)).map(|(_, error)| (*error).to_owned());
            assert_eq!(end.err().map(|error| error.to_string()), expected, "{}", name(&case));
            let (mut fields, mut files, mut names) = (Map::new(), Map::new(), Map::new());
            for (name, text) in form.iter().flat_map(|form| &form.fields) {
                put(&mut fields, name, json!(recorded(text)));
            }
            for (name, file) in form.iter().flat_map(|form| &form.files) {
                let contents = file.bytes().expect("it can be read");
                assert_eq!(file.size(), contents.len() as u64);
                assert_eq!(file.path().is_some(), contents.len() > in_memory);
                let entry = json!({
                    "name": recorded(file.name()), "size": file.size(),
                    "error": file.error().map_or(0, workerman::UploadError::code),
                    "full_path": recorded(file.full_path()), "type": file.content_type(), "sha1": sha1(&contents),
                    "tmp_file": "workerman.upload.XXXXXX",
                });
                put(&mut files, name, entry);
                put(&mut names, name, json!(recorded(file.name())));
            }
            let php = &case["requests"][0];
            let same = map(&php["post"]) == json!(fields) && map(&php["file"]) == json!(files);
            match DIFFERENCES.iter().find(|(listed, _, _)| *listed == name(&case)) {
                None => {
                    assert_eq!(
                        (map(&php["post"]), map(&php["file"])),
                        (json!(fields), json!(files)),
                        "{}",
                        name(&case)
                    );
                }
                Some((name, ours, _)) => {
                    assert!(!same, "{name}: listed for no reason");
                    assert_eq!(json!([fields, names]), serde_json::from_str::<Value>(ours).unwrap(), "{name}");
                }
            }
        }
    }
}

#[test]
fn every_case_of_the_lists_is_recorded() {
    let cases = cases();
    let listed = DIFFERENCES.iter().map(|(name, _, _)| *name).chain(ERRORS.iter().map(|(name, _)| *name));
    for listed in listed {
        assert!(cases.iter().any(|case| name(case) == listed), "{listed}: there is no such case");
    }
    assert!(DIFFERENCES.iter().all(|(_, _, reason)| !reason.is_empty()));
}

#[test]
fn a_form_that_breaks_off_keeps_the_parts_before_and_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let uploads = Uploads { in_memory: 0, directory: directory.path().to_owned() };
    let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=b").unwrap().unwrap();
    let mut form = Form::new(&boundary, uploads);
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=f; filename={name}\r\n\r\n{name}");
    form.append(format!("{}\r\n{}", part("whole"), part("cut")).as_bytes()).unwrap();
    let count = || std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(count(), 2);
    assert_eq!(form.finish(), Err(Error::Truncated));
    assert_eq!((count(), form.files.len(), form.files[0].1.name()), (1, 1, "whole"));
    drop(form);
    assert_eq!(count(), 0);
}

/// FIPS 180-4, for comparing with the digests of the recordings.
fn sha1(bytes: &[u8]) -> String {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut message = [bytes, &[0x80]].concat();
    message.resize((message.len() + 8).next_multiple_of(64), 0);
    let length = message.len();
    message[length - 8..].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words: Vec<u32> =
            block.chunks_exact(4).map(|word| u32::from_be_bytes(word.try_into().expect("four bytes"))).collect();
        for t in 16..80 {
            words.push((words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in words.iter().enumerate() {
            let (f, k) = match t {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999_u32),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = [a.rotate_left(5), f, e, k, *word].into_iter().fold(0, u32::wrapping_add);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}
