//! A SOCKS5 proxy (RFC 1928), with user and password if it wants them (RFC 1929).
//!
//! Names are looked up by the proxy. All that it says has a length that is known before, or tells it in its first bytes, so
//! nothing behind it is touched.

use std::net::IpAddr;

use super::{Account, Heard};

const VERSION: u8 = 5;
const NO_ACCOUNT: u8 = 0;
const PASSWORD: u8 = 2;
const NOTHING_SUITS: u8 = 0xff;
/// The version of the talk about passwords.
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const PORT_BYTES: usize = 2;

/// What comes next from it.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// How it wants to know who asks.
    Method,
    /// Whether it knows him.
    Welcome,
    /// Whether the server has been reached.
    Reply,
    /// What kind of address it has there, and the first byte of that.
    Kind,
    /// The rest of the address, which nobody needs.
    Address,
}

#[derive(Debug)]
pub(super) struct Socks5 {
    stage: Stage,
    /// What has come of this stage, and how long that is in whole.
    come: Vec<u8>,
    whole: usize,
    /// What will be asked.
    request: Vec<u8>,
    /// What will be said about who asks.
    account: Option<Vec<u8>>,
}

impl Socks5 {
    /// The dialogue, and what it begins with.
    pub(super) fn new(host: &str, port: u16, account: Option<&Account>) -> Result<(Self, Vec<u8>), String> {
        let mut request = vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(ip)) => {
                request.push(IPV4);
                request.extend(ip.octets());
            }
            Ok(IpAddr::V6(ip)) => {
                request.push(IPV6);
                request.extend(ip.octets());
            }
            Err(_) => {
                request.push(NAME);
                push_short(&mut request, host).ok_or("SOCKS5: the name of the server is longer than 255 bytes")?;
            }
        }
        request.extend(port.to_be_bytes());
        let greeting: &[u8] = match account {
            None => &[VERSION, 1, NO_ACCOUNT],
            Some(_) => &[VERSION, 2, NO_ACCOUNT, PASSWORD],
        };
        let account = account.map(proof).transpose()?;
        Ok((Self { stage: Stage::Method, come: Vec::new(), whole: 2, request, account }, greeting.into()))
    }

    pub(super) fn wanted(&self) -> usize {
        self.whole - self.come.len()
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Heard, String> {
        self.come.extend(bytes);
        if self.come.len() < self.whole {
            return Ok(Heard::More);
        }
        let come = std::mem::take(&mut self.come);
        match (self.stage, &*come) {
            (Stage::Method, [VERSION, NO_ACCOUNT]) => Ok(self.ask()),
            (Stage::Method, [VERSION, PASSWORD]) if self.account.is_some() => {
                Ok(self.say(Stage::Welcome, 2, |this| this.account.take().unwrap_or_default()))
            }
            (Stage::Method, [VERSION, NOTHING_SUITS]) if self.account.is_none() => {
                Err("SOCKS5: the proxy wants a user and a password".into())
            }
            (Stage::Method, [VERSION, NOTHING_SUITS]) => {
                Err("SOCKS5: the proxy takes no password, and nobody without".into())
            }
            (Stage::Welcome, [_, 0]) => Ok(self.ask()),
            (Stage::Welcome, _) => Err("SOCKS5: the user or the password is wrong".into()),
            (Stage::Reply, [VERSION, 0]) => Ok(self.wait_for(Stage::Kind, 3)),
            (Stage::Reply, [VERSION, code]) => Err(format!("SOCKS5: {}", meaning(*code))),
            (Stage::Kind, [_, IPV4, _]) => Ok(self.wait_for(Stage::Address, 3 + PORT_BYTES)),
            (Stage::Kind, [_, IPV6, _]) => Ok(self.wait_for(Stage::Address, 15 + PORT_BYTES)),
            (Stage::Kind, [_, NAME, length]) => Ok(self.wait_for(Stage::Address, usize::from(*length) + PORT_BYTES)),
            (Stage::Address, _) => Ok(Heard::Through),
            _ => Err("the proxy does not speak SOCKS5".into()),
        }
    }

    fn ask(&mut self) -> Heard {
        self.say(Stage::Reply, 2, |this| std::mem::take(&mut this.request))
    }

    fn say(&mut self, stage: Stage, whole: usize, what: impl FnOnce(&mut Self) -> Vec<u8>) -> Heard {
        self.wait_for(stage, whole);
        Heard::Say(what(self))
    }

    fn wait_for(&mut self, stage: Stage, whole: usize) -> Heard {
        (self.stage, self.whole) = (stage, whole);
        Heard::More
    }
}

/// What is said about who asks.
fn proof(Account { user, password }: &Account) -> Result<Vec<u8>, String> {
    let mut proof = vec![PASSWORD_VERSION];
    for text in [user, password] {
        push_short(&mut proof, text).ok_or("SOCKS5: a user and a password have at most 255 bytes")?;
    }
    Ok(proof)
}

/// A text behind a byte that tells its length.
fn push_short(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.push(text.len().try_into().ok()?);
    bytes.extend(text.as_bytes());
    Some(())
}

fn meaning(code: u8) -> String {
    let meaning = match code {
        1 => "general failure",
        2 => "the proxy's rules forbid it",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "the way is too long (TTL expired)",
        7 => "the proxy does not connect",
        8 => "the proxy does not know such addresses",
        _ => return format!("failure {code}"),
    };
    meaning.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is said to a proxy that says this, byte by byte; and what comes of it.
    fn hear(host: &str, account: Option<(&str, &str)>, answer: &[u8]) -> (Vec<Vec<u8>>, Result<Heard, String>) {
        let account = account.map(|(user, password)| Account { user: user.into(), password: password.into() });
        let (mut socks5, greeting) = Socks5::new(host, 0x1234, account.as_ref()).unwrap();
        let mut said = vec![greeting];
        for byte in answer {
            assert!(socks5.wanted() > 0);
            match socks5.hear(&[*byte]) {
                Ok(Heard::More) => {}
                Ok(Heard::Say(bytes)) => said.push(bytes),
                other => return (said, other),
            }
        }
        (said, Ok(Heard::More))
    }

    const FINE: &[u8] = b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";

    #[test]
    fn names_and_numbers_are_asked_for_as_they_are() {
        for (host, request) in [
            ("127.0.0.1", &b"\x05\x01\x00\x01\x7f\x00\x00\x01\x12\x34"[..]),
            ("::1", b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34"),
            ("a.test", b"\x05\x01\x00\x03\x06a.test\x12\x34"),
        ] {
            let (said, result) = hear(host, None, FINE);
            assert_eq!(said, [b"\x05\x01\x00", request]);
            assert_eq!(result, Ok(Heard::Through));
        }
        assert!(Socks5::new(&"a".repeat(256), 1, None).unwrap_err().contains("255"));
    }

    #[test]
    fn the_password_is_told_to_a_proxy_that_asks_for_it() {
        let (said, result) = hear("a", Some(("me", "secret")), &[b"\x05\x02\x01\x00", &FINE[2..]].concat());
        assert_eq!(said[..2], [b"\x05\x02\x00\x02".to_vec(), b"\x01\x02me\x06secret".to_vec()]);
        assert_eq!(result, Ok(Heard::Through));
        let (said, result) = hear("a", Some(("me", "secret")), FINE);
        assert_eq!((said.len(), result), (2, Ok(Heard::Through)), "it does not want to know");
        let long = Account { user: "a".repeat(256), password: String::new() };
        assert!(Socks5::new("a", 1, Some(&long)).unwrap_err().contains("255"));
    }

    #[test]
    fn a_refusal_is_told_in_words() {
        let me = Some(("me", "secret"));
        for (account, answer, text) in [
            (None, &b"\x05\xff"[..], "SOCKS5: the proxy wants a user and a password"),
            (me, b"\x05\xff", "SOCKS5: the proxy takes no password, and nobody without"),
            (me, b"\x05\x02\x01\x01", "SOCKS5: the user or the password is wrong"),
            (None, b"\x05\x02", "the proxy does not speak SOCKS5"),
            (None, b"\x05\x01", "the proxy does not speak SOCKS5"),
            (None, b"HT", "the proxy does not speak SOCKS5"),
            (None, b"\x05\x00\x05\x05", "SOCKS5: connection refused"),
            (None, b"\x05\x00\x05\x04", "SOCKS5: host unreachable"),
            (None, b"\x05\x00\x05\x63", "SOCKS5: failure 99"),
            (None, b"\x05\x00\x04\x00", "the proxy does not speak SOCKS5"),
            (None, b"\x05\x00\x05\x00\x00\x07\x00", "the proxy does not speak SOCKS5"),
        ] {
            assert_eq!(hear("a", account, answer).1, Err(text.to_owned()));
        }
    }

    #[test]
    fn whatever_address_the_proxy_has_is_read_to_its_end() {
        for (kind, length) in [(&b"\x01"[..], 4), (b"\x04", 16), (b"\x03\x00", 0), (b"\x03\xff", 255)] {
            let answer = [b"\x05\x00\x05\x00\x00", kind, &vec![7; length + 2]].concat();
            assert_eq!(hear("a", None, &answer[..answer.len() - 1]).1, Ok(Heard::More));
            assert_eq!(hear("a", None, &answer).1, Ok(Heard::Through));
        }
    }
}
