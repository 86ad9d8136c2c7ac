//! The way through a proxy: what is said to it once it has been reached, until bytes go to the server and back.
//!
//! A dialogue knows no sockets. It says how many of the bytes to come are certainly the proxy's, and no more than these are
//! read: what the server sends right behind them stays in the socket for whoever speaks with it then, TLS or not.
//!
//! Invariants: what a proxy may say has a bound; every refusal is told in words.

mod connect;
mod socks5;

use std::io::{self, Read, Write};

use percent_encoding::percent_decode_str;

use super::target::{Place, authority, split_authority};
use connect::Connect;
use socks5::Socks5;

/// Bytes that are read at a time.
const PIECE: usize = 64;

/// A proxy, as its address describes it.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) place: Place,
    kind: Kind,
    account: Option<Account>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

/// Who asks it.
#[derive(Debug)]
struct Account {
    user: String,
    password: String,
}

impl Proxy {
    /// Reads `socks5://user:password@host:port` or `http://...`; or tells what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (kind, usual_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 80),
            // `h` as curl has it: names are the proxy's affair, which they always are here.
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err("a proxy is \"socks5://host:port\" or \"http://host:port\"".into()),
        };
        let rest = rest.trim_end_matches('/');
        let (account, authority) = rest.rsplit_once('@').map_or((None, rest), |(who, rest)| (Some(who), rest));
        let (host, port) = split_authority(authority).map_err(|reason| format!("the proxy's address: {reason}"))?;
        let place = Place::Host { host: host.into(), port: port.unwrap_or(usual_port) };
        Ok(Self { place, kind, account: account.map(Account::parse).transpose()? })
    }
}

impl Account {
    fn parse(text: &str) -> Result<Self, String> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err("the user or the password of the proxy is not UTF-8"),
        };
        Ok(Self { user: decode(user)?, password: decode(password)? })
    }
}

/// What is said to a proxy, and what it has answered.
#[derive(Debug)]
pub(super) struct Talk {
    dialogue: Dialogue,
    output: Vec<u8>,
    written: usize,
}

#[derive(Debug)]
enum Dialogue {
    Connect(Connect),
    Socks5(Socks5),
}

/// What follows from what a proxy has said.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// It is not done.
    More,
    /// It is to be told this.
    Say(Vec<u8>),
    /// What comes next is from the server.
    Through,
}

impl Talk {
    /// Asks for the way to this host and port.
    pub(super) fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, String> {
        if host.contains('%') {
            return Err("a proxy does not know the interfaces of this machine".into());
        }
        let account = proxy.account.as_ref();
        let (dialogue, output) = match proxy.kind {
            Kind::Http => (Dialogue::Connect(Connect::default()), connect::request(&authority(host, port), account)?),
            Kind::Socks5 => {
                let (socks5, greeting) = Socks5::new(host, port, account)?;
                (Dialogue::Socks5(socks5), greeting)
            }
        };
        Ok(Self { dialogue, output, written: 0 })
    }

    /// Says and hears what can be; answers whether the way is open.
    pub(super) fn go_on(&mut self, stream: &mut (impl Read + Write)) -> io::Result<bool> {
        loop {
            while let Some(rest @ [_, ..]) = self.output.get(self.written..) {
                match without_waiting(|| stream.write(rest))? {
                    Some(count) => self.written += count,
                    None => return Ok(false),
                }
            }
            let mut piece = [0; PIECE];
            let piece = piece.get_mut(..self.wanted().min(PIECE)).unwrap_or_default();
            let count = match without_waiting(|| stream.read(piece))? {
                Some(0) => return Err(io::Error::other("the proxy has closed the connection")),
                Some(count) => count,
                None => return Ok(false),
            };
            match self.hear(piece.get(..count).unwrap_or_default()).map_err(io::Error::other)? {
                Heard::More => {}
                Heard::Say(output) => (self.output, self.written) = (output, 0),
                Heard::Through => return Ok(true),
            }
        }
    }

    /// So many bytes, one at least, are certainly the proxy's.
    fn wanted(&self) -> usize {
        match &self.dialogue {
            Dialogue::Connect(connect) => connect.wanted(),
            Dialogue::Socks5(socks5) => socks5.wanted(),
        }
    }

    /// Takes no more bytes than were wanted.
    fn hear(&mut self, bytes: &[u8]) -> Result<Heard, String> {
        match &mut self.dialogue {
            Dialogue::Connect(connect) => connect.hear(bytes),
            Dialogue::Socks5(socks5) => socks5.hear(bytes),
        }
    }
}

/// `None` for later.
fn without_waiting(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(io::Error::other(format!("the proxy is lost: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that has said all it will; a read is one piece.
    struct Script<'a> {
        pieces: Vec<&'a [u8]>,
        heard: Vec<u8>,
    }

    impl Read for Script<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.pieces.first_mut() else { return Err(io::ErrorKind::WouldBlock.into()) };
            let count = piece.len().min(buffer.len());
            buffer[..count].copy_from_slice(&piece[..count]);
            *piece = &piece[count..];
            if piece.is_empty() && count > 0 {
                self.pieces.remove(0);
            }
            Ok(count)
        }
    }

    impl Write for Script<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.extend(bytes.first());
            Ok(bytes.len().min(1))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes of a proxy that says this, in pieces; and what it has left unread.
    fn talk(proxy: &str, pieces: &[&[u8]]) -> (Result<bool, String>, Vec<u8>, Vec<u8>) {
        let mut talk = Talk::new(&Proxy::parse(proxy).unwrap(), "server.test", 443).unwrap();
        let mut script = Script { pieces: pieces.to_vec(), heard: Vec::new() };
        let result = talk.go_on(&mut script).map_err(|error| error.to_string());
        (result, script.heard, script.pieces.concat())
    }

    #[test]
    fn what_the_server_says_behind_the_proxys_answer_is_left_alone() {
        let domain = [&[5, 0, 5, 0, 0, 3, 4][..], b"name\x01\x02server"].concat();
        for (proxy, answer) in [
            ("http://p", &b"HTTP/1.1 200 OK\r\n\r\nserver"[..]),
            ("http://p", b"HTTP/1.0 200\r\nA: \r\r\nB:\r\n\r\nserver"),
            ("http://p", b"HTTP/1.1 200 OK\r\n\r\n\r\n\r\nserver"),
            ("socks5://p", b"\x05\x00\x05\x00\x00\x01\x01\x02\x03\x04\x01\x02server"),
            ("socks5://p", &domain),
        ] {
            for cut in 0..=answer.len() {
                let pieces = [&answer[..cut], &answer[cut..]];
                let pieces: Vec<&[u8]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
                let (result, _, rest) = talk(proxy, &pieces);
                assert_eq!(result, Ok(true), "{cut}");
                assert!(rest.ends_with(b"server") && rest.len() <= 10, "{cut}: {rest:?}");
            }
            let bytes: Vec<&[u8]> = answer.chunks(1).collect();
            let (result, _, rest) = talk(proxy, &bytes);
            assert!(result == Ok(true) && rest.ends_with(b"server") && rest.len() <= 10);
        }
    }

    #[test]
    fn a_proxy_that_is_not_done_is_waited_for_and_one_that_goes_is_told_of() {
        let answer = b"HTTP/1.1 200 OK\r\n\r";
        for cut in 1..answer.len() {
            assert_eq!(talk("http://p", &[&answer[..cut]]).0, Ok(false));
            assert_eq!(talk("http://p", &[&answer[..cut], b""]).0, Err("the proxy has closed the connection".into()));
        }
    }

    #[test]
    fn the_address_of_a_proxy() {
        for (text, kind, host, port, account) in [
            ("http://p:3128", Kind::Http, "p", 3128, None),
            ("HTTP://p/", Kind::Http, "p", 80, None),
            ("socks5://[::1]", Kind::Socks5, "::1", 1080, None),
            ("socks5h://me@p:9", Kind::Socks5, "p", 9, Some(("me", ""))),
            ("http://me:a:b@p:9", Kind::Http, "p", 9, Some(("me", "a:b"))),
            ("socks5://m%40e:p%3a%2F@p:9", Kind::Socks5, "p", 9, Some(("m@e", "p:/"))),
            ("socks5://m@e:x@p:9", Kind::Socks5, "p", 9, Some(("m@e", "x"))),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!((proxy.kind, &proxy.place), (kind, &Place::Host { host: host.into(), port }), "{text}");
            let found = proxy.account.as_ref().map(|account| (&*account.user, &*account.password));
            assert_eq!(found, account, "{text}");
        }
        for (text, part) in [
            ("p:1", "a proxy is"),
            ("https://p:1", "a proxy is"),
            ("socks4://p:1", "a proxy is"),
            ("http://", "no host"),
            ("http://p:0", "not a port"),
            ("http://%ff@p:1", "not UTF-8"),
        ] {
            let error = Proxy::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn an_interface_of_this_machine_is_none_of_the_proxys() {
        let proxy = Proxy::parse("http://p").unwrap();
        assert!(Talk::new(&proxy, "fe80::1%eth0", 1).unwrap_err().contains("interfaces"));
    }
}
