//! Promise: a form with files is fields and files, however large it is; a large one is taken apart while it arrives, and
//! nothing of it stays behind.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use common::{Log, serve};
use workerman::testing::Peer;
use workerman::testing::fuzz::{Boundary, Error, Form, Uploads};
use workerman::{FormError, HttpClient, Multipart, Request, Uploaded, UploadedFile};

const LARGE: usize = 300_000;

/// A form: names, file names, contents.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, contents) in parts {
        let file_name = file_name.map(|file_name| format!("; filename=\"{file_name}\"")).unwrap_or_default();
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n");
        body.extend([head.as_bytes(), contents, b"\r\n"].concat());
    }
    body.extend(b"--b--\r\n");
    body
}

fn post(body: &[u8], chunk: Option<usize>) -> Vec<u8> {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n";
    match chunk {
        None => [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat(),
        Some(size) => {
            let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
            let chunks: Vec<u8> = body.chunks(size).flat_map(chunk).collect();
            [format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), &chunks, b"0\r\n\r\n"].concat()
        }
    }
}

/// What an app sees of a request that comes in segments of a size.
fn seen(wire: Vec<u8>, segment: usize, look: impl Fn(&Request) + 'static) -> Peer {
    let (simulation, worker) = serve(move |connection, request| {
        look(&request);
        connection.send("seen")
    });
    let peer = simulation.connect(worker);
    peer.set_segment(segment);
    peer.write(wire);
    simulation.run();
    assert!(peer.read_text().ends_with("seen"));
    peer
}

fn contents(file: Option<&UploadedFile>) -> Vec<u8> {
    file.expect("a file").bytes().expect("it can be read").into_owned()
}

#[test]
fn fields_and_files_are_found_by_their_names_however_large_the_form_is() {
    for size in [3, LARGE] {
        let parts: [(&str, Option<&str>, &[u8]); 8] = [
            ("title", None, b"holiday"),
            ("tag[]", None, b"sea"),
            ("tag[]", None, b"sun"),
            ("cover", Some("a.jpg"), b"first"),
            ("cover", Some("b.jpg"), &vec![b'x'; size]),
            ("photo[]", Some("c.jpg"), b"c"),
            ("photo[]", Some("d.jpg"), b"dd"),
            ("set[front][]", Some("e.jpg"), b""),
        ];
        let body = form(&parts);
        for (chunk, segment) in [(None, usize::MAX), (None, 1000), (Some(7000), usize::MAX), (Some(33), 100_000)] {
            let whole = if size == LARGE { Vec::new() } else { body.clone() };
            seen(post(&body, chunk), segment, move |request| {
                assert_eq!(request.raw_body(), whole, "a large one is not kept");
                assert_eq!((request.post("title"), request.post("cover")), (Some("holiday"), None));
                assert_eq!(request.post_array("tag").and_then(|tags| tags.get("1")), Some("sun"));
                assert_eq!(contents(request.file("cover")), vec![b'x'; size], "the last one of a name counts");
                assert_eq!(request.file("cover").and_then(UploadedFile::path).is_some(), size == LARGE);
                let photos = request.file_array("photo").expect("an array");
                assert_eq!((contents(photos.get("0")), contents(photos.get("1"))), (b"c".to_vec(), b"dd".to_vec()));
                assert!(
                    photos.get("2").is_none() && photos.get_array("0").is_none() && request.file("photo").is_none()
                );
                let front = request.file_array("set").and_then(|set| set.get_array("front")).expect("an array");
                assert_eq!(front.get("0").map(UploadedFile::size), Some(0));
                let names: Vec<_> = request.files().list().map(UploadedFile::name).collect();
                assert_eq!(names, ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]);
                let kinds = request.files().iter().map(|(name, one)| (name, matches!(one, Uploaded::File(_))));
                assert_eq!(kinds.collect::<Vec<_>>(), [("cover", true), ("photo", false), ("set", false)]);
            });
        }
    }
}

#[test]
fn a_large_file_is_the_apps_alone_and_gone_with_the_request() {
    let log = Log::<PathBuf>::new();
    let write = log.writer();
    seen(post(&form(&[("f", Some("x"), &[7; LARGE])]), None), 10_000, move |request| {
        let path = request.file("f").and_then(UploadedFile::path).expect("it is on disk");
        let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        write(path.to_owned());
    });
    let paths = log.take();
    assert!(paths.len() == 1 && !paths.iter().any(|path| path.exists()));
}

#[test]
fn a_form_that_is_none_gives_what_came_before() {
    for size in [3, LARGE] {
        let mut body = form(&[("a", None, b"1"), ("f", Some("x"), &vec![7; size]), ("late", None, b"2")]);
        body.truncate(body.len() - 9);
        seen(post(&body, None), usize::MAX, move |request| {
            assert_eq!((request.post("a"), request.post("late")), (Some("1"), None));
            assert_eq!(request.file("f").map(UploadedFile::size), Some(size as u64));
        });
    }
    // No form at all: nothing is taken apart, so it is all there.
    let other = String::from_utf8(post(&vec![b'x'; LARGE], None)).expect("text").replace("; boundary=b", "");
    seen(other.into(), usize::MAX, |request| {
        assert_eq!((request.raw_body().len(), request.post_all().len()), (LARGE, 0));
    });
}

#[test]
fn an_app_can_see_that_a_form_is_not_complete() {
    for size in [3, LARGE] {
        let whole = form(&[("a", None, b"1"), ("f", Some("x"), &vec![7; size])]);
        let cut = whole[..whole.len() - 9].to_vec();
        let broken = [&whole[..whole.len() - 4], b"what?\r\n"].concat();
        seen(post(&whole, None), usize::MAX, |request| assert_eq!(request.form_error(), None));
        seen(post(&cut, None), usize::MAX, |request| {
            assert_eq!(request.form_error(), Some(FormError::Truncated));
            assert_eq!((request.post("a"), request.file("f").is_none()), (Some("1"), true));
        });
        seen(post(&broken, None), 1000, |request| {
            assert!(matches!(request.form_error(), Some(FormError::Malformed(_))), "{:?}", request.form_error());
        });
        let no_boundary = String::from_utf8(post(&vec![b'x'; size], None)).expect("text").replace("; boundary=b", "");
        seen(no_boundary.into(), usize::MAX, |request| {
            assert_eq!(request.form_error(), Some(FormError::Malformed("no boundary")));
        });
    }
    seen(post(b"", None), usize::MAX, |request| assert_eq!(request.form_error(), None, "as in PHP"));
    let many = form(&vec![("a", None, &b"1"[..]); 1025]);
    seen(post(&many, None), usize::MAX, |request| {
        assert_eq!(request.form_error(), Some(FormError::TooLarge("more than 1024 parts")));
    });
    for other in ["application/x-www-form-urlencoded", "application/json", ""] {
        let request = post(b"--b--", None);
        let request = String::from_utf8(request).expect("text").replace("multipart/form-data; boundary=b", other);
        seen(request.into(), usize::MAX, |request| assert_eq!(request.form_error(), None));
    }
}

#[test]
fn a_request_that_is_given_away_takes_its_files_along() {
    let (simulation, worker) = serve(|connection, request| {
        let thread = std::thread::spawn(move || contents(request.file("f")).len());
        connection.send(thread.join().map_or_else(|_| "lost".into(), |length| length.to_string()))
    });
    let peer = simulation.connect(worker);
    peer.write(post(&form(&[("f", Some("x"), &[7; LARGE])]), Some(1000)));
    simulation.run();
    assert!(peer.read_text().ends_with("\r\n\r\n300000"));
}

#[test]
fn a_form_that_breaks_off_keeps_the_parts_before_and_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let uploads = Uploads { in_memory: 0, directory: directory.path().to_owned() };
    let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=b").unwrap().unwrap();
    let mut form = Form::new(&boundary, uploads);
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=f; filename={name}\r\n\r\n{name}");
    form.append(format!("{}\r\n{}", part("whole"), part("cut")).as_bytes()).unwrap();
    let count = || std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(count(), 2);
    assert_eq!(form.finish(), Err(Error::Truncated));
    assert_eq!((count(), form.files.len(), form.files[0].1.name()), (1, 1, "whole"));
    drop(form);
    assert_eq!(count(), 0);
}

#[test]
fn what_a_client_sends_is_what_a_server_reads() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        let file = request.file("photo").expect("a file");
        let said = (file.name().to_owned(), file.content_type().to_owned(), contents(Some(file)).len());
        write((request.post("title").map(str::to_owned), said));
        connection.send("seen")
    });
    for size in [0, 3, LARGE] {
        let form = Multipart::new().field("title", "by the \r\n--sea").file(
            "photo",
            "a b.jpg",
            "image/jpeg",
            vec![b'x'; size],
        );
        HttpClient::new().post("http://server.test/", form, |_| {});
        simulation.run();
        let client = simulation.accept().expect("it has connected");
        simulation.run();
        let peer = simulation.connect(worker);
        let mut wire = client.read();
        while !wire.is_empty() {
            peer.write(wire);
            simulation.run();
            wire = client.read();
        }
        assert!(peer.read_text().ends_with("seen"));
        let file = ("a b.jpg".to_owned(), "image/jpeg".to_owned(), size);
        assert_eq!(log.take(), [(Some("by the \r\n--sea".to_owned()), file)]);
    }
}
