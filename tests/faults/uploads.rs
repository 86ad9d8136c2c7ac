//! Clients that send much.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use super::outside::{connect, read_until};
use super::target::{KIB, MIB, Target};

const SIZE: usize = 20 * MIB;
/// What stands around the file of a form.
const HEAD: &str = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n";
const END: &str = "\r\n--b--\r\n";

/// How a client sends its bytes.
#[derive(Clone, Copy, Debug)]
enum How {
    Plain,
    Chunked,
    /// As a file in a form.
    Form,
    /// The same in chunks.
    ChunkedForm,
}

/// Sends so many bytes on a new connection; the server is to answer how many those were.
fn upload(address: SocketAddr, path: &str, size: usize, how: How) {
    let mut client = connect(address);
    let is_form = matches!(how, How::Form | How::ChunkedForm);
    let length = size + if is_form { HEAD.len() + END.len() } else { 0 };
    let kind = if is_form { "Content-Type: multipart/form-data; boundary=b\r\n" } else { "" };
    let is_chunked = matches!(how, How::Chunked | How::ChunkedForm);
    let framing =
        if is_chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    write!(client, "POST {path} HTTP/1.1\r\nHost: test\r\n{kind}{framing}\r\n\r\n").expect("the head is sent");
    let send = |client: &mut TcpStream, bytes: &[u8]| {
        if is_chunked {
            write!(client, "{:x}\r\n", bytes.len()).expect("a size is sent");
        }
        client.write_all(bytes).expect("bytes are sent");
        if is_chunked {
            client.write_all(b"\r\n").expect("an end is sent");
        }
    };
    if is_form {
        send(&mut client, HEAD.as_bytes());
    }
    let piece = vec![b'x'; 64 * KIB];
    let mut rest = size;
    while rest > 0 {
        send(&mut client, &piece[..piece.len().min(rest)]);
        rest -= piece.len().min(rest);
    }
    if is_form {
        send(&mut client, END.as_bytes());
    }
    if is_chunked {
        client.write_all(b"0\r\n\r\n").expect("the end is sent");
    }
    let answer = read_until(&mut client, "\n\n");
    assert!(answer.ends_with(&format!("\r\n\r\n{size}\n\n")), "{how:?}: {answer}");
}

/// The memory that a server had at most above what it had before so many clients sent that much each, at once.
fn peak(path: &'static str, clients: usize, size: usize, how: How) -> usize {
    let mut target = Target::start(&[("PACKAGE", "33554432")]);
    target.serves();
    let before = target.memory();
    let address = target.address;
    let threads: Vec<_> = (0..clients).map(|_| thread::spawn(move || upload(address, path, size, how))).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a client ends well"));
    let peak = target.peak().saturating_sub(before);
    println!("{clients} x {} MiB to {path}, {how:?}: {} KiB at most", size / MIB, peak / KIB);
    peak
}

#[test]
fn a_body_of_20_mib_takes_no_more_than_5_mib_besides_itself() {
    for how in [How::Plain, How::Chunked] {
        assert!(peak("/upload", 1, SIZE, how) < 25 * MIB);
    }
}

#[test]
fn forms_of_20_mib_at_once_go_to_disk_and_not_into_memory() {
    for how in [How::Form, How::ChunkedForm] {
        assert!(peak("/upload", 1, SIZE, how) < 2 * MIB);
        assert!(peak("/upload", 32, SIZE, how) < 64 * MIB);
    }
}

#[test]
fn a_body_in_pieces_may_be_larger_than_the_memory_it_takes() {
    for how in [How::Plain, How::Chunked] {
        assert!(peak("/pieces", 4, 50 * MIB, how) < 2 * MIB);
    }
}
