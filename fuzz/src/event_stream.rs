//! Event streams as a client reads them, beside a reference that has all of the stream before it begins.

use workerman::testing::fuzz::{EventStream, TooLarge};

/// What a stream has told: type, data and id of each event, the last id, the time to wait.
#[derive(Debug, Default, PartialEq)]
struct Told {
    events: Vec<[String; 3]>,
    id: String,
    retry: Option<u64>,
    is_too_large: bool,
}

/// A stream tells what HTML standard §9.2.6 says, however it is cut, and stops at what is too large.
///
/// The first byte chooses the cuts, the second the limit.
pub fn event_stream(input: &[u8]) {
    let [cut, limit, wire @ ..] = input else { return };
    let limit = if *limit == 0 { usize::MAX } else { usize::from(*limit) };
    let whole = read([wire], limit);
    for size in [1, usize::from(*cut) + 1] {
        assert_eq!(read(wire.chunks(size), limit), whole, "in pieces of {size}: {}", wire.escape_ascii());
    }
    let reference = reference(wire);
    if whole.is_too_large {
        assert!(reference.events.starts_with(&whole.events), "{}", wire.escape_ascii());
    } else {
        assert_eq!(whole, reference, "{}", wire.escape_ascii());
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Told {
    let (mut stream, mut told) = (EventStream::default(), Told::default());
    stream.set_limit(limit);
    for mut piece in pieces {
        loop {
            let event = stream.receive(&mut piece);
            told.retry = stream.take_retry().or(told.retry);
            match event {
                Ok(Some(event)) => told.events.push([event.event(), event.data(), event.id()].map(str::to_owned)),
                Ok(None) => break,
                Err(TooLarge) => {
                    // Of a line that is too large, more or less may have been seen.
                    return Told { is_too_large: true, id: String::new(), retry: None, ..told };
                }
            }
        }
        assert!(piece.is_empty());
    }
    stream.last_id().clone_into(&mut told.id);
    told
}

fn reference(wire: &[u8]) -> Told {
    let text = String::from_utf8_lossy(wire);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut told, mut event, mut data, mut id) = (Told::default(), String::new(), String::new(), String::new());
    let mut lines: Vec<&str> = text.split('\n').collect();
    // Behind the last break is no line.
    lines.pop();
    for line in lines {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            _ if line.is_empty() => {
                told.id.clone_from(&id);
                let event = std::mem::take(&mut event);
                if let Some(data) = std::mem::take(&mut data).strip_suffix('\n') {
                    let event = if event.is_empty() { "message".to_owned() } else { event };
                    told.events.push([event, data.to_owned(), id.clone()]);
                }
            }
            "event" => value.clone_into(&mut event),
            "data" => data += &format!("{value}\n"),
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if !value.is_empty() && value.chars().all(|digit| digit.is_ascii_digit()) => {
                told.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    told
}
