//! Promise: the examples of lines, of frames and of a protocol of one's own do what they say.

mod outside;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use outside::{connect, read_to_end, read_until, start_example};

#[test]
fn lines_reach_everybody_in_the_chat() {
    let (server, address) = start_example("text_server");
    let mut one = connect(address);
    assert_eq!(read_until(&mut one, "\n"), "user[1] comes\n");
    let mut two = connect(address);
    assert_eq!(read_until(&mut two, "\n"), "user[2] comes\n");
    assert_eq!(read_until(&mut one, "\n"), "user[2] comes\n");
    one.write_all("gr\u{fc}\u{df} dich\r\n".as_bytes()).expect("it can be sent");
    for stream in [&mut one, &mut two] {
        assert_eq!(read_until(stream, "\n"), "user[1] said: gr\u{fc}\u{df} dich\n");
    }
    // A line that is too long ends one's stay.
    two.write_all(&[b'x'; 5000]).expect("it can be sent");
    assert_eq!(read_to_end(&mut two), "");
    drop(two);
    assert_eq!(read_until(&mut one, "\n"), "user[2] goes\n");
    server.signal("TERM");
    let (status, _) = server.wait();
    assert!(status.success());
}

fn call(stream: &mut TcpStream, number: u32, call: &str) {
    let length = u32::try_from(8 + call.len()).expect("a short call");
    let frame = [&length.to_be_bytes(), &number.to_be_bytes(), call.as_bytes()].concat();
    stream.write_all(&frame).expect("it can be sent");
}

fn reply(stream: &mut TcpStream) -> (u32, String) {
    let mut number = || {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).expect("an answer comes");
        u32::from_be_bytes(bytes)
    };
    let (length, number) = (number(), number());
    let mut text = vec![0; length as usize - 8];
    stream.read_exact(&mut text).expect("a whole answer comes");
    (number, String::from_utf8(text).expect("text"))
}

#[test]
fn calls_over_frames_are_answered_in_the_order_they_are_done() {
    let (_server, address) = start_example("frame_server");
    let mut stream = connect(address);
    call(&mut stream, 1, "later patience");
    call(&mut stream, 2, "upper h\u{e4}h");
    call(&mut stream, 3, "what");
    assert_eq!(reply(&mut stream), (2, "H\u{c4}H".to_owned()));
    assert_eq!(reply(&mut stream), (3, "error: there is no such command".to_owned()));
    assert_eq!(reply(&mut stream), (1, "patience".to_owned()));
    // A length below four is none.
    stream.write_all(&[0, 0, 0, 3]).expect("it can be sent");
    assert_eq!(read_to_end(&mut stream), "");
}

#[test]
fn json_is_answered_by_the_line_and_what_is_none_ends_the_connection() {
    let (server, address) = start_example("json_lines");
    let mut stream = connect(address);
    stream.write_all(b"{\"a\": [1, 2]}\n\"tw").expect("it can be sent");
    let answer = "{\"code\":0,\"msg\":\"ok\",\"data\":{\"a\":[1,2]}}\n";
    assert_eq!(read_until(&mut stream, "\n"), answer);
    stream.write_all(b"o\"\r\nnonsense\n").expect("it can be sent");
    assert_eq!(read_to_end(&mut stream), "{\"code\":0,\"msg\":\"ok\",\"data\":\"two\"}\n");
    assert_eq!(
        server.line_after(&format!("{}: ", stream.local_addr().expect("it has one"))),
        "expected ident at line 1 column 2"
    );
    // Others go on, and one that sends no end is stopped.
    let mut other = connect(address);
    other.write_all(b"1\n").expect("it can be sent");
    read_until(&mut other, "\"data\":1}\n");
    other.write_all(&[b' '; 70_000]).expect("it can be sent");
    assert_eq!(read_to_end(&mut other), "");
}
