//! Promise: what goes into one end of the example's tunnel comes out of the other, whole; a reader that rests holds the writer
//! back, and who ends takes the partner along when all has arrived.

mod outside;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use outside::{Process, Program, address_in, connect, read_until};
use socket2::SockRef;

fn program() -> Program {
    Program::new("tcp_proxy").with("OTHER_ADDRESS", "127.0.0.1:0")
}

fn tunnel() -> (Process, SocketAddr, SocketAddr) {
    let (process, one) = program().serve();
    let other = address_in(&process.line());
    (process, one, other)
}

/// Bytes that repeat themselves late.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at % 251) ^ (at / 251 % 256)).to_le_bytes()[0]).collect()
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("bytes up to the end");
    all
}

/// Writes until nothing more is taken for a while; answers how much was.
fn fill(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut written = 0;
    loop {
        match stream.write(bytes.get(written..).unwrap_or_default()) {
            Ok(0) => return written,
            Ok(count) => written += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return written,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn two_who_come_are_joined_in_order() {
    let (_process, one, other) = tunnel();
    let mut here = [connect(one), connect(one)];
    // Said before anybody is there to hear it.
    here[0].write_all(b"first").expect("it is sent");
    here[1].write_all(b"second").expect("it is sent");
    let mut there = [connect(other), connect(other)];
    assert_eq!([read_until(&mut there[0], "first"), read_until(&mut there[1], "second")], ["first", "second"]);
    there[1].write_all(b"to the second").expect("it is sent");
    read_until(&mut here[1], "to the second");
}

#[test]
fn a_reader_that_rests_holds_the_writer_back_and_misses_nothing() {
    let (process, one, other) = tunnel();
    let (mut writer, mut reader) = (connect(one), connect(other));
    let sent = bytes(64 << 20);
    let taken = fill(&mut writer, &sent);
    assert!(taken < 32 << 20, "{taken} bytes were taken for a reader that reads nothing");
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("/proc is there");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(memory.is_some_and(|kilobytes: u32| kilobytes < 16 << 10), "{memory:?} kB in memory");
    let rest = sent.get(taken..).unwrap_or_default().to_vec();
    writer.set_write_timeout(None).expect("no timeout");
    let writing = thread::spawn(move || {
        writer.write_all(&rest).expect("it is sent");
        // Behind all this, FIN.
        writer.shutdown(Shutdown::Write).expect("it ends");
        writer
    });
    assert!(read_all(&mut reader) == sent);
    assert_eq!(read_all(&mut writing.join().expect("all is sent")), [0; 0]);
}

#[test]
fn who_breaks_off_takes_the_partner_along() {
    let (_process, one, other) = tunnel();
    let (mut here, there) = (connect(one), connect(other));
    here.write_all(b"unread").expect("it is sent");
    read_until(&mut there.try_clone().expect("it can be shared"), "unread");
    SockRef::from(&there).set_linger(Some(Duration::ZERO)).expect("a reset");
    drop(there);
    assert_eq!(read_all(&mut here), [0; 0]);
}

#[test]
fn an_address_that_is_taken_is_told() {
    let (process, one, _) = tunnel();
    let second = program().with("ADDRESS", one.to_string()).start();
    let (status, errors) = second.wait();
    assert!(!status.success() && errors.contains("Address already in use"), "{errors}");
    drop(process);
}
