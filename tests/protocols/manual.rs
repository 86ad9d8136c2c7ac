//! The four protocols of the manual's page on protocols, each as there, and JSON by the line from the page before it.

#![allow(dead_code)] // each test file uses some of them

use serde_json::Value;
use workerman::{Encode, Encoded, Output, Protocol, Result};

/// Ten digits that say how long the whole is, then XML.
#[derive(Debug, Default)]
pub(crate) struct Xml;

impl Protocol for Xml {
    type Message = String;

    const SCHEME: &'static str = "xml";

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        let Some(digits) = buffer.get(..10) else { return Ok(None) };
        Ok(Some(str::from_utf8(digits)?.parse()?))
    }

    fn decode(&mut self, package: &[u8]) -> Result<String> {
        let xml = package.get(10..).ok_or("the length does not count itself")?;
        Ok(str::from_utf8(xml)?.to_owned())
    }
}

impl Encode<&str> for Xml {
    fn encode(&mut self, xml: &str, output: &mut Output<'_>) -> Encoded {
        output.bytes(format!("{:010}{xml}", 10 + xml.len()).as_bytes());
        Encoded::Done
    }
}

/// Four bytes that say how long the whole is, the highest first, then JSON.
#[derive(Debug, Default)]
pub(crate) struct JsonInt;

impl Protocol for JsonInt {
    type Message = Value;

    const SCHEME: &'static str = "JsonInt";

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        let Some((length, _)) = buffer.split_first_chunk() else { return Ok(None) };
        Ok(Some(u32::from_be_bytes(*length).try_into()?))
    }

    fn decode(&mut self, package: &[u8]) -> Result<Value> {
        Ok(serde_json::from_slice(package.get(4..).unwrap_or_default())?)
    }
}

impl Encode<&Value> for JsonInt {
    fn encode(&mut self, message: &Value, output: &mut Output<'_>) -> Encoded {
        let json = message.to_string();
        output.bytes(&u32::try_from(4 + json.len()).unwrap_or_default().to_be_bytes());
        output.owned(json.into_bytes());
        Encoded::Done
    }
}

/// A file: the length of the whole, that of the name, the name, the contents.
#[derive(Debug, Default)]
pub(crate) struct BinaryTransfer;

impl Protocol for BinaryTransfer {
    type Message = (String, Vec<u8>);

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        let Some((length, _)) = buffer.split_first_chunk() else { return Ok(None) };
        Ok(Some(u32::from_be_bytes(*length).try_into()?))
    }

    fn decode(&mut self, package: &[u8]) -> Result<Self::Message> {
        let (length, rest) = package.get(4..).and_then(<[u8]>::split_first).ok_or("no name")?;
        let (name, contents) = rest.split_at_checked(usize::from(*length)).ok_or("half a name")?;
        Ok((String::from_utf8(name.to_vec())?, contents.to_vec()))
    }
}

/// What is sent goes out as it is.
impl Encode<String> for BinaryTransfer {
    fn encode(&mut self, answer: String, output: &mut Output<'_>) -> Encoded {
        output.owned(answer.into_bytes());
        Encoded::Done
    }
}

/// A file as JSON by the line, its contents in Base64.
#[derive(Debug, Default)]
pub(crate) struct TextTransfer;

impl Protocol for TextTransfer {
    type Message = (String, Vec<u8>);

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        Ok(buffer.iter().position(|byte| *byte == b'\n').map(|end| end + 1))
    }

    fn decode(&mut self, package: &[u8]) -> Result<Self::Message> {
        let json: Value = serde_json::from_slice(package)?;
        let field = |name| json.get(name).and_then(Value::as_str).ok_or("a field is missing");
        Ok((field("file_name")?.to_owned(), from_base64(field("file_data")?)?))
    }
}

impl Encode<String> for TextTransfer {
    fn encode(&mut self, answer: String, output: &mut Output<'_>) -> Encoded {
        output.owned(answer.into_bytes());
        Encoded::Done
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_usize, 0, Vec::new());
    for digit in text.trim_end_matches('=').chars() {
        bits = bits << 6 | DIGITS.find(digit).ok_or("no Base64")?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff)?);
        }
    }
    Ok(bytes)
}

/// JSON by the line, which remembers how far it has looked for the end.
#[derive(Debug, Default)]
pub(crate) struct JsonNl {
    scanned: usize,
}

impl Protocol for JsonNl {
    type Message = Value;

    const SCHEME: &'static str = "JsonNL";

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        let new = buffer.get(self.scanned..).unwrap_or_default();
        let end = new.iter().position(|byte| *byte == b'\n').map(|end| self.scanned + end + 1);
        self.scanned = if end.is_some() { 0 } else { buffer.len() };
        Ok(end)
    }

    fn decode(&mut self, package: &[u8]) -> Result<Value> {
        Ok(serde_json::from_slice(package)?)
    }
}

impl Encode<&Value> for JsonNl {
    fn encode(&mut self, message: &Value, output: &mut Output<'_>) -> Encoded {
        serde_json::to_writer(&mut *output, message).map(|()| output.bytes(b"\n")).into()
    }
}
