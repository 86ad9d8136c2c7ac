//! A proxy of HTTP, asked by CONNECT (RFC 9110 §9.3.6).
//!
//! Of its answer the first line counts. Where the head ends, the server's bytes begin: as an end takes four bytes, fewer that
//! have been seen of it, so many may be read without going too far.

use super::{Account, Heard};
use crate::protocols::base64::base64;

const END: &[u8; 4] = b"\r\n\r\n";
/// Bytes that its heads may have, all together.
const HEADS: usize = 16 * 1024;
/// So much of the first line is of interest.
const LINE: usize = 200;
const BEGINNING: &[u8] = b"HTTP/1.";

/// The request.
pub(super) fn request(authority: &str, account: Option<&Account>) -> Result<Vec<u8>, String> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(Account { user, password }) = account {
        if user.contains(':') {
            return Err("a user of an HTTP proxy has no colon in his name".into());
        }
        let proof = base64(format!("{user}:{password}").as_bytes());
        request.push_str(&format!("Proxy-Authorization: Basic {proof}\r\n"));
    }
    request.push_str("\r\n");
    Ok(request.into())
}

/// Its answer.
#[derive(Debug, Default)]
pub(super) struct Connect {
    /// The beginning of the first line.
    line: Vec<u8>,
    line_is_over: bool,
    /// Bytes of [`END`] that have been seen.
    ending: usize,
    length: usize,
}

impl Connect {
    pub(super) fn wanted(&self) -> usize {
        END.len() - self.ending
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Heard, String> {
        self.length += bytes.len();
        if self.length > HEADS {
            return Err(format!("the proxy's answer is longer than {HEADS} bytes"));
        }
        for byte in bytes {
            self.look_at(*byte);
        }
        if !self.line.iter().zip(BEGINNING).all(|(is, should_be)| is == should_be) {
            return Err("the proxy does not speak HTTP".into());
        }
        if self.ending < END.len() { Ok(Heard::More) } else { self.judge() }
    }

    fn look_at(&mut self, byte: u8) {
        self.line_is_over |= byte == b'\n';
        if !self.line_is_over && self.line.len() < LINE {
            self.line.push(byte);
        }
        self.ending = match END.get(self.ending) {
            Some(next) if *next == byte => self.ending + 1,
            _ => usize::from(byte == b'\r'),
        };
    }

    /// The head is over.
    fn judge(&mut self) -> Result<Heard, String> {
        let line = String::from_utf8_lossy(&self.line);
        let said: String =
            line.split_once(' ').map_or("", |(_, said)| said.trim()).chars().filter(is_harmless).collect();
        match said.as_bytes() {
            [b'2', b'0'..=b'9', b'0'..=b'9', ..] => Ok(Heard::Through),
            // More is to come: another head.
            [b'1', b'0'..=b'9', b'0'..=b'9', ..] => {
                *self = Self { length: self.length, ..Self::default() };
                Ok(Heard::More)
            }
            [b'3'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] => Err(format!("the proxy says {said}")),
            _ => Err("the proxy does not speak HTTP".into()),
        }
    }
}

fn is_harmless(char: &char) -> bool {
    !char.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds as many bytes as are wanted, or fewer.
    fn hear(answer: &[u8], at_most: usize) -> Result<Heard, String> {
        let (mut connect, mut rest) = (Connect::default(), answer);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(connect.wanted().min(at_most).min(rest.len()));
            rest = behind;
            match connect.hear(piece)? {
                Heard::More => {}
                heard => {
                    assert!(rest.is_empty(), "it ends where the head ends");
                    return Ok(heard);
                }
            }
        }
        Ok(Heard::More)
    }

    #[test]
    fn a_request_names_the_server_twice_and_who_asks_once() {
        let account = Account { user: "Aladdin".into(), password: "open sesame".into() };
        let request = request("server.test:443", Some(&account)).unwrap();
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "CONNECT server.test:443 HTTP/1.1\r\nHost: server.test:443\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
        let account = Account { user: "a:b".into(), password: String::new() };
        assert!(super::request("server.test:443", Some(&account)).unwrap_err().contains("colon"));
    }

    #[test]
    fn an_answer_is_understood_however_it_comes() {
        for (answer, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Ok(Heard::Through)),
            ("HTTP/1.0 200\r\nVia: a\r\nContent-Length: 10\r\n\r\n", Ok(Heard::Through)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n", Ok(Heard::Through)),
            ("HTTP/1.1 200 OK\r\nX: \r\r\r\n\r\r\n\r\n", Ok(Heard::Through)),
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
                Err("the proxy says 407 Proxy Authentication Required"),
            ),
            ("HTTP/1.1 502 \x1b[31mred\x07\r\n\r\n", Err("the proxy says 502 [31mred")),
            ("HTTP/1.1 302\r\n\r\n", Err("the proxy says 302")),
            ("HTTP/1.1 OK\r\n\r\n", Err("the proxy does not speak HTTP")),
            ("SSH-2.0-OpenSSH\r\n", Err("the proxy does not speak HTTP")),
            ("\x05\x00", Err("the proxy does not speak HTTP")),
        ] {
            for at_most in 1..=4 {
                let expected = match &expected {
                    Ok(_) => Ok(Heard::Through),
                    Err(reason) => Err((*reason).to_owned()),
                };
                assert_eq!(hear(answer.as_bytes(), at_most), expected, "{answer}");
            }
        }
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let long = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(3000));
        assert!(hear(long.as_bytes(), 4).unwrap_err().contains("16384 bytes"));
        let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        assert!(hear(many.as_bytes(), 4).unwrap_err().contains("16384 bytes"));
        let line = format!("HTTP/1.1 500 {}\r\n\r\n", "x".repeat(10_000));
        assert!(hear(line.as_bytes(), 4).unwrap_err().len() < 300);
    }
}
