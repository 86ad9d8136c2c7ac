//! Forms, beside a reference written from RFC 2046, RFC 7578 and RFC 9110: whole at once, and without a look at the decoder.

use workerman::testing::fuzz::{Boundary, Decoder, Error, Event};

use super::{is_field_value, is_token};

/// A form: its parts are what RFC 2046 and RFC 7578 say, however the body is cut.
///
/// The first byte chooses the boundary, the rest is the body.
pub fn multipart(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let text = ["B", "--", "aab", "----WebKitFormBoundary", "-B-", "a b:=?c"][usize::from(*choice) % 6];
    let content_type = format!("multipart/form-data; boundary=\"{text}\"");
    let found = Boundary::from_content_type(content_type.as_bytes());
    let boundary = found.expect("a boundary").expect("a multipart type");
    let whole = take_apart(&boundary, [body]);
    for size in [1, 2, usize::from(*choice) + 3] {
        assert_eq!(take_apart(&boundary, body.chunks(size)), whole, "in pieces of {size}: {}", body.escape_ascii());
    }
    assert_eq!(whole, reference_form(text, body), "{}", body.escape_ascii());
    // A Content-Type comes from a client too.
    let _ = Boundary::from_content_type(body);
    let _ = Boundary::from_content_type(&[b"multipart/form-data", body].concat());
}

/// Complete parts, and how the body ends.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    list: Vec<Part>,
    end: End,
}

/// Name, file name, full path, Content-Type and data.
type Part = (String, Option<String>, String, String, Vec<u8>);

#[derive(Debug, Default, PartialEq)]
enum End {
    #[default]
    Done,
    Truncated,
    Refused,
}

fn take_apart<'a>(boundary: &Boundary, pieces: impl IntoIterator<Item = &'a [u8]>) -> Parts {
    let (mut decoder, mut parts, mut open) = (Decoder::new(boundary), Parts::default(), None::<Part>);
    'all: for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(Event::Part(head))) => {
                    assert!(open.is_none(), "a part in a part");
                    open = Some((head.name, head.file_name, head.full_path, head.content_type, Vec::new()));
                }
                Ok(Some(Event::Data(data))) => open.as_mut().expect("a part").4.extend_from_slice(data),
                Ok(Some(Event::PartEnd)) => parts.list.push(open.take().expect("a part")),
                Ok(Some(Event::End)) => assert!(open.is_none(), "a part that does not end"),
                Ok(None) => break,
                Err(_) => break 'all,
            }
        }
        assert!(piece.is_empty(), "something is left");
    }
    parts.end = match decoder.finish() {
        Ok(()) => End::Done,
        Err(Error::Truncated) => End::Truncated,
        Err(_) => End::Refused,
    };
    parts
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// RFC 2046 §5.1.1, whole at once. Bounds: 1024 parts, 16 KiB for the head of each.
fn reference_form(boundary: &str, body: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let end = |parts: &mut Parts, end| {
        parts.end = end;
        std::mem::take(parts)
    };
    if body.is_empty() {
        return parts;
    }
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    // As if a line had ended before the body.
    let text = [b"\r\n", body].concat();
    let Some(start) = find(&text, &delimiter) else { return end(&mut parts, End::Truncated) };
    let mut rest = &text[start + delimiter.len()..];
    loop {
        if rest.starts_with(b"--") {
            return end(&mut parts, End::Done);
        }
        let blanks = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        rest = &rest[blanks..];
        match rest {
            [b'\r', b'\n', behind @ ..] => rest = behind,
            [] | [b'\r'] => return end(&mut parts, End::Truncated),
            [b'-'] if blanks == 0 => return end(&mut parts, End::Truncated),
            _ => return end(&mut parts, End::Refused),
        }
        if parts.list.len() == 1024 {
            return end(&mut parts, End::Refused);
        }
        let head_end = if rest.starts_with(b"\r\n") { Some(0) } else { find(rest, b"\r\n\r\n").map(|at| at + 2) };
        // A line that is none is refused as soon as it ends.
        let lines = &rest[..head_end.unwrap_or(rest.len())];
        let ended = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut fields = Vec::new();
        for line in lines[..ended].split_inclusive(|byte| *byte == b'\n') {
            match reference_field(line) {
                Some(field) => fields.push(field),
                None => return end(&mut parts, End::Refused),
            }
        }
        if head_end.map_or(rest.len(), |at| at + 2) > 16 * 1024 {
            return end(&mut parts, End::Refused);
        }
        let Some(head_end) = head_end else { return end(&mut parts, End::Truncated) };
        let Some(mut part) = reference_part(&fields) else { return end(&mut parts, End::Refused) };
        rest = &rest[head_end + 2..];
        let Some(length) = find(rest, &delimiter) else { return end(&mut parts, End::Truncated) };
        part.4 = rest[..length].to_vec();
        rest = &rest[length + delimiter.len()..];
        parts.list.push(part);
    }
}

/// The name in lower case, and the value.
fn reference_field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let line = line.strip_suffix(b"\r\n")?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let fits = !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_field_value);
    fits.then(|| (String::from_utf8_lossy(name).to_lowercase(), value.trim_ascii().to_vec()))
}

fn reference_part(fields: &[(String, Vec<u8>)]) -> Option<Part> {
    let single = |name: &str| {
        let mut values = fields.iter().filter(|field| field.0 == name).map(|field| field.1.as_slice());
        let value = values.next();
        if values.next().is_some() { None } else { Some(value) }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (disposition, content_type) = (single("content-disposition")??, single("content-type")?);
    let relative = single("webkitrelativepath")?;
    let (kind, parameters) = reference_parameters(disposition)?;
    let named = |name: &str| {
        let values: Vec<_> = parameters.iter().filter(|parameter| parameter.0 == name).collect();
        if values.len() > 1 { None } else { Some(values.first().map(|parameter| parameter.1.clone())) }
    };
    let (name, path) = (named("name")??, named("filename")?);
    if kind != "form-data" {
        return None;
    }
    let file_name = path.as_ref().map(|path| text(path.rsplit(|byte| b"/\\".contains(byte)).next().unwrap_or(path)));
    let full_path = match (&path, relative) {
        (Some(_), Some(relative)) => text(relative),
        (Some(path), None) => text(path),
        (None, _) => String::new(),
    };
    Some((text(&name), file_name, full_path, text(content_type.unwrap_or_default()), Vec::new()))
}

type Named = (String, Vec<u8>);

/// What stands before the parameters, and those; a character at a time.
fn reference_parameters(value: &[u8]) -> Option<(String, Vec<Named>)> {
    let mut bytes = value.iter().copied().peekable();
    let mut kind = Vec::new();
    while let Some(byte) = bytes.next_if(|byte| *byte != b';') {
        kind.push(byte);
    }
    let mut list = Vec::new();
    while bytes.next().is_some_and(|byte| byte == b';') {
        while bytes.next_if(|byte| b" \t".contains(byte)).is_some() {}
        if bytes.peek().is_none_or(|byte| *byte == b';') {
            continue;
        }
        let (mut name, mut content) = (String::new(), Vec::new());
        while let Some(byte) = bytes.next_if(is_token) {
            name.push(byte.to_ascii_lowercase().into());
        }
        if name.is_empty() || bytes.next() != Some(b'=') {
            return None;
        }
        if bytes.next_if_eq(&b'"').is_some() {
            loop {
                match bytes.next()? {
                    b'"' => break,
                    b'\\' => content.push(bytes.next_if(|byte| b"\"\\".contains(byte)).unwrap_or(b'\\')),
                    byte => content.push(byte),
                }
            }
        } else {
            while let Some(byte) = bytes.next_if(|byte| !b"; \t".contains(byte)) {
                content.push(byte);
            }
            if content.is_empty() || content.contains(&b'"') {
                return None;
            }
        }
        list.push((name, content));
        while bytes.next_if(|byte| b" \t".contains(byte)).is_some() {}
        if bytes.peek().is_some_and(|byte| *byte != b';') {
            return None;
        }
    }
    let kind = String::from_utf8_lossy(kind.trim_ascii()).to_lowercase();
    Some((kind, list))
}
