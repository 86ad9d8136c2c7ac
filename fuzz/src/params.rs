//! Parameters, beside a reference written after PHP's own `php_register_variable_ex`: a character at a time.

use workerman::testing::fuzz;
use workerman::{Param, Params, Request};

/// A query or a form: what PHP's `parse_str` makes of it, wherever it stands.
pub fn params(input: &[u8]) {
    let params = Params::parse(input);
    let shown = input.escape_ascii();
    let expected = reference(input);
    assert!(is_same(&params, &expected), "{shown}: {params:?} is not {expected:?}");
    check(&params, 0);

    // Written out again, it is read as the same.
    let mut text = String::new();
    write(&expected, "", &mut text);
    assert_eq!(Params::parse(&text), params, "{shown}: {text}");

    // As a body, and as a query if it may stand there.
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", input.len());
    assert_eq!(only(&[head.as_bytes(), input].concat()).post_all(), &params, "{shown}");
    if input.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        let request = only(&[b"GET /?", input, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!((request.path(), request.get_all()), ("/", &params), "{shown}");
        assert_eq!(request.query_string().as_bytes(), input, "{shown}");
    }
}

/// The one request that these bytes are.
fn only(wire: &[u8]) -> Request {
    let mut outcome = fuzz::receive([wire], super::LIMIT);
    assert_eq!((outcome.refused, outcome.requests.len()), (None, 1), "{}", wire.escape_ascii());
    outcome.requests.remove(0)
}

/// What is told in one way is not told otherwise in another.
fn check(params: &Params, depth: usize) {
    assert!(depth <= 64, "too deep");
    assert_eq!((params.is_empty(), params.len()), (params.iter().next().is_none(), params.iter().count()));
    for (at, (name, value)) in params.iter().enumerate() {
        assert_eq!(params.iter().position(|(other, _)| other == name), Some(at), "twice: {name}");
        match value {
            Param::Text(text) => assert_eq!((params.get(name), params.get_array(name)), (Some(text.as_str()), None)),
            Param::Array(array) => {
                assert_eq!((params.get(name), params.get_array(name)), (None, Some(array)));
                assert!(!array.is_empty(), "nothing under {name}");
                check(array, depth + 1);
            }
        }
    }
}

#[derive(Debug)]
enum Value {
    Text(String),
    Array(Map),
}

type Map = Vec<(String, Value)>;

fn is_same(params: &Params, map: &Map) -> bool {
    let is_same = |((name, param), (known, value)): ((&str, &Param), &(String, Value))| {
        name == known
            && match (param, value) {
                (Param::Text(text), Value::Text(value)) => text == value,
                (Param::Array(array), Value::Array(map)) => is_same(array, map),
                _ => false,
            }
    };
    params.len() == map.len() && params.iter().zip(map).all(is_same)
}

/// `a[k][l]=v`, everything escaped.
fn write(map: &Map, front: &str, text: &mut String) {
    let escape = |part: &str| part.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    for (name, value) in map {
        let name = if front.is_empty() { escape(name) } else { format!("{front}[{}]", escape(name)) };
        match value {
            Value::Text(value) => text.extend([&name, "=", &escape(value), "&"]),
            Value::Array(map) => write(map, &name, text),
        }
    }
}

/// `+` is a space, `%xx` a byte; bytes that are not UTF-8 are U+FFFD.
fn decode(encoded: &[u8]) -> String {
    let spaced: Vec<_> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    super::percent_decode(&spaced)
}

fn reference(input: &[u8]) -> Map {
    let mut map = Map::new();
    for pair in input.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(1000) {
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        register(&mut map, &decode(name), decode(value));
    }
    map
}

fn register(top: &mut Map, name: &str, value: String) {
    let name: Vec<char> = name.chars().skip_while(|c| *c == ' ').take_while(|c| *c != '\0').collect();
    let mut at = name.iter().position(|c| *c == '[').unwrap_or(name.len());
    if at == 0 {
        return;
    }
    let variable = |chars: &[char]| chars.iter().map(|c| if " .[".contains(*c) { '_' } else { *c }).collect::<String>();
    let front = variable(&name[..at]);
    // The keys, `None` for those that count on.
    let mut keys = vec![Some(front.clone())];
    while name.get(at) == Some(&'[') {
        if keys.len() > 64 {
            top.retain(|(other, _)| *other != front);
            return;
        }
        let start = at + 1;
        let blank = name.get(start).is_some_and(|c| " \t\n\u{b}\u{c}\r".contains(*c));
        let inner = start + usize::from(blank);
        if name.get(inner) == Some(&']') {
            keys.push(None);
            at = inner + 1;
            continue;
        }
        let Some(length) = name[start..].iter().position(|c| *c == ']') else {
            if keys.len() == 1 {
                keys = vec![Some(variable(&name))];
            }
            break;
        };
        keys.push(Some(name[start..start + length].iter().collect()));
        at = start + length + 1;
    }
    let last = keys.pop().expect("the front at least");
    let mut map = top;
    for key in keys {
        let Some(place) = place(map, key) else { return };
        if let Value::Text(_) = place {
            *place = Value::Array(Map::new());
        }
        let Value::Array(inner) = place else { unreachable!() };
        map = inner;
    }
    if let Some(place) = place(map, last) {
        *place = Value::Text(value);
    }
}

fn place(map: &mut Map, key: Option<String>) -> Option<&mut Value> {
    let key = match key {
        Some(key) => key,
        None => {
            let numbers =
                map.iter().filter_map(|(name, _)| name.parse::<i64>().ok().filter(|n| n.to_string() == *name));
            match numbers.max() {
                Some(highest) if highest >= 0 => highest.checked_add(1)?.to_string(),
                _ => "0".to_owned(),
            }
        }
    };
    let at = map.iter().position(|(name, _)| *name == key).unwrap_or(map.len());
    if at == map.len() {
        map.push((key, Value::Text(String::new())));
    }
    Some(&mut map[at].1)
}
