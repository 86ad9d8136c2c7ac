//! What Redis speaks, as far as a test needs it: commands out, replies in as text.

use workerman::{Encode, Encoded, Output, Protocol, Result};

/// A command is its words with spaces between; a reply is told as `redis-cli` would show it on one line.
#[derive(Debug, Default)]
pub(crate) struct Resp;

impl Protocol for Resp {
    type Message = String;

    const SCHEME: &'static str = "redis";

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        Ok(reply(buffer)?.map(|(_, length)| length))
    }

    fn decode(&mut self, package: &[u8]) -> Result<String> {
        let (text, _) = reply(package)?.ok_or("half a reply")?;
        Ok(text)
    }
}

impl Encode<String> for Resp {
    fn encode(&mut self, command: String, output: &mut Output<'_>) -> Encoded {
        let words: Vec<&str> = command.split(' ').collect();
        output.bytes(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            output.bytes(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        Encoded::Done
    }
}

/// The reply at the beginning and its length, if all of it has come.
fn reply(buffer: &[u8]) -> Result<Option<(String, usize)>> {
    let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let line = str::from_utf8(buffer.get(1..end).ok_or("an empty line")?)?;
    let after = end + 2;
    match buffer.first() {
        Some(b'+' | b'-' | b':') => Ok(Some((line.to_owned(), after))),
        Some(b'$') if line == "-1" => Ok(Some(("(nil)".to_owned(), after))),
        Some(b'$') => {
            let length: usize = line.parse()?;
            let Some(text) = buffer.get(after..after + length + 2) else { return Ok(None) };
            Ok(Some((str::from_utf8(&text[..length])?.to_owned(), after + length + 2)))
        }
        Some(b'*') => {
            let mut parts = Vec::new();
            let mut at = after;
            for _ in 0..line.parse::<usize>()? {
                let Some((part, length)) = reply(&buffer[at..])? else { return Ok(None) };
                parts.push(part);
                at += length;
            }
            Ok(Some((parts.join(" "), at)))
        }
        other => Err(format!("no reply begins with {other:?}").into()),
    }
}
