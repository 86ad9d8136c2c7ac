//! Cookies both ways: those that come beside a plain reference, those that are set as a browser reads them (RFC 6265 §5.2).

use workerman::testing::fuzz;
use workerman::{Cookie, Request, Response, SameSite};

use super::{is_field_value, is_token, percent_decode};

/// Cookies: what comes is taken apart as a reference does, and what is set is what a browser gets and sends back.
///
/// As a whole, the input is the lines of a request; by the bytes 0xfe between them, it is the parts of a `Cookie`.
pub fn cookies(input: &[u8]) {
    let lines: Vec<_> = input.split(|byte| *byte == b'\n').collect();
    if lines.len() <= 90 && input.len() < 8192 && input.iter().all(|byte| *byte == b'\n' || is_field_value(byte)) {
        incoming(&lines);
    }
    outgoing(input);
}

fn request(lines: &[&[u8]]) -> Request {
    let mut wire = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for line in lines {
        wire.extend([b"Cookie:", *line, b"\r\n"].concat());
    }
    wire.extend_from_slice(b"\r\n");
    let mut outcome = fuzz::receive([&wire[..]], super::LIMIT);
    assert_eq!((outcome.refused, outcome.requests.len()), (None, 1), "{}", wire.escape_ascii());
    outcome.requests.remove(0)
}

fn incoming(lines: &[&[u8]]) {
    let request = request(lines);
    let found: Vec<_> = request.cookies().collect();
    let values: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line.trim_ascii())).collect();
    let mut expected = Vec::new();
    for pair in values.join("; ").split(';') {
        let mut parts = pair.splitn(2, '=');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            expected.push((name.trim_matches([' ', '\t']).to_owned(), percent_decode(value.as_bytes())));
        }
    }
    let is_same = found.iter().copied().eq(expected.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert!(is_same, "{found:?} is not {expected:?}");
    for (name, _) in &found {
        let last = found.iter().rfind(|(other, _)| other == name).map(|(_, value)| *value);
        assert_eq!(request.cookie(name), last);
    }
    assert!(request.cookies().eq(found), "asked twice");
}

fn outgoing(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0xfe);
    let mut next = || parts.next().unwrap_or_default();
    let (name, value, flags) = (next(), next(), next());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (name, path, domain) = (text(name), text(next()), text(next()));
    let flag = |bit: u8| flags.first().is_some_and(|flags| flags & bit != 0);
    let age = i64::from(*flags.get(1).unwrap_or(&0)) - 100;

    let mut cookie = Cookie::new(&name, value).path(&path).domain(&domain).secure(flag(1)).http_only(flag(2));
    let same_site = [None, Some(SameSite::Strict), Some(SameSite::Lax), Some(SameSite::None)];
    let same_site = same_site[usize::from(flag(4)) + 2 * usize::from(flag(8))];
    if let Some(same_site) = same_site {
        cookie = cookie.same_site(same_site);
    }
    if flag(16) {
        cookie = cookie.max_age(age);
    }
    let response = Response::default().with_cookie(cookie);
    let bare = domain.strip_prefix('.').unwrap_or(&domain);
    let fits = !name.is_empty() && name.bytes().all(|byte| is_token(&byte)) && is_path(&path);
    let fits = fits && (domain.is_empty() || is_domain(bare));
    let Some(line) = response.header("Set-Cookie") else {
        assert!(!fits, "left out: {name:?}, {path:?}, {domain:?}");
        return;
    };
    assert!(fits, "against the grammar: {line:?}");

    // As a browser reads it.
    let mut rest = line.split(';');
    let (set_name, set_value) = rest.next().and_then(|pair| pair.split_once('=')).expect("a pair");
    let attributes: Vec<_> = rest.map(|one| one.split_once('=').unwrap_or((one, ""))).collect();
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (name.trim(), value.trim())).collect();
    let mut expected = Vec::new();
    let (age, same_site) = (age.to_string(), same_site.map(|same_site| format!("{same_site:?}")));
    let mut expect = |is_set, name, value| {
        if is_set {
            expected.push((name, value));
        }
    };
    expect(!bare.is_empty(), "Domain", bare);
    expect(flag(16), "Max-Age", &age);
    expect(!path.is_empty(), "Path", path.trim());
    expect(flag(1), "Secure", "");
    expect(flag(2), "HttpOnly", "");
    expect(same_site.is_some(), "SameSite", same_site.as_deref().unwrap_or_default());
    assert_eq!((set_name, attributes), (name.as_str(), expected), "{line:?}");
    assert!(set_value.bytes().all(is_cookie_octet), "{line:?}");

    // And back, among others.
    let pair = format!(" {set_name}=%; {set_name}={set_value}; {set_name}2=1");
    let back = request(&[pair.as_bytes()]);
    assert_eq!(back.cookie(&name), Some(text(value).as_str()), "{line:?}");
}

/// RFC 6265 §4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

fn is_path(path: &str) -> bool {
    path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';')
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    domain.split('.').all(is_label)
}
