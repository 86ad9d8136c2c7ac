//! The promise: a directory is served with all that is in it and nothing else.

mod common;
mod outside;

use std::fs;
use std::os::unix::fs::symlink;

use common::{Answer, answers, exchange, serve, split_head};
use outside::{Program, TemporaryDirectory, ask, connect};
use workerman::Response;

/// A directory to be served, beside things that are none of its clients' business.
fn site(name: &str) -> TemporaryDirectory {
    let directory = TemporaryDirectory::new(&format!("static-{name}"));
    let root = directory.0.join("root");
    for path in ["sub/deep", "empty", ".git", ".well-known"] {
        fs::create_dir_all(root.join(path)).expect("a directory can be made");
    }
    for (path, content) in [
        ("index.html", "home"),
        ("a b.txt", "space"),
        ("sub/index.html", "sub"),
        ("sub/deep/x.css", "style"),
        (".git/config", "hidden"),
        (".env", "hidden"),
        (".well-known/security.txt", "known"),
        ("page.html", "plain"),
        ("page.html.gz", "gzipped"),
        ("page.html.br", "brotlied"),
        ("../secret.txt", "secret"),
        ("../root-beside/secret.txt", "secret"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory can be made");
        fs::write(path, content).expect("a file can be written");
    }
    symlink(directory.0.join("secret.txt"), root.join("link.txt")).expect("a link can be made");
    symlink(&directory.0, root.join("up")).expect("a link can be made");
    symlink(directory.0.join("root-beside"), root.join("beside")).expect("a link can be made");
    symlink(directory.0.join("secret.txt"), root.join("a b.txt.gz")).expect("a link can be made");
    symlink("sub/deep/x.css", root.join("inner.css")).expect("a link can be made");
    directory
}

fn request(site: &TemporaryDirectory, method: &str, target: &str, lines: &str) -> Answer {
    let root = site.0.join("root");
    let (simulation, worker) = serve(move |connection, request| {
        let path = request.path().strip_prefix("/mounted").unwrap_or(request.path());
        connection.send(Response::static_file(&request, &root, path))
    });
    let bytes = exchange(&simulation, worker, format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).1;
    if method == "HEAD" {
        return Answer { head: split_head(&bytes).0, body: Vec::new() };
    }
    let [answer] = answers(&bytes).try_into().expect("one answer");
    answer
}

#[test]
fn what_is_below_the_root_is_found() {
    let site = site("found");
    for (target, body) in [
        ("/", "home"),
        ("/index.html?a=b", "home"),
        ("/a%20b.txt", "space"),
        ("/sub/", "sub"),
        ("//sub//deep/x.css", "style"),
        ("/inner.css", "style"),
        ("/.well-known/security.txt", "known"),
        ("/mounted/sub/", "sub"),
        ("/mounted/", "home"),
        ("http://a/sub/index.html", "sub"),
    ] {
        let answer = request(&site, "GET", target, "");
        assert_eq!((answer.status(), answer.body().as_str()), (200, body), "{target}");
    }
}

#[test]
fn what_is_elsewhere_or_hidden_is_not_found() {
    let site = site("elsewhere");
    for target in [
        "/missing",
        "/empty/",
        "/index.html/",
        "/index.html/x",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/../../secret.txt",
        "/sub/..%5c..%5csecret.txt",
        "/index.html%00.txt",
        "/link.txt",
        "/up/secret.txt",
        "/up/root/index.html/../../secret.txt",
        "/beside/secret.txt",
        "/.git/config",
        "/.env",
        "/%2eenv",
        "/%",
        "*",
    ] {
        let answer = request(&site, "GET", target, "");
        assert_eq!((answer.status(), answer.body().as_str()), (404, "<h3>404 Not Found</h3>"), "{target}");
    }
}

#[test]
fn a_directory_without_its_slash_is_elsewhere_on_the_same_host() {
    let site = site("slash");
    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub/deep?a=b&c", "/sub/deep/?a=b&c"),
        ("/mounted/sub", "/mounted/sub/"),
        ("//sub", "/sub/"),
        ("//sub//deep", "/sub//deep/"),
    ] {
        let answer = request(&site, "GET", target, "");
        assert_eq!((answer.status(), answer.header("location")), (301, Some(location)), "{target}");
    }
}

#[test]
fn a_compressed_neighbour_is_sent_to_who_accepts_it() {
    let site = site("neighbours");
    for (accepted, body, coding) in [
        ("gzip, deflate, br", "brotlied", Some("br")),
        ("gzip", "gzipped", Some("gzip")),
        ("br;q=0, gzip;q=0.1", "gzipped", Some("gzip")),
        ("br;q=0.5, x-gzip", "gzipped", Some("gzip")),
        ("identity, gzip;q=0.5", "plain", None),
        ("identity", "plain", None),
        ("", "plain", None),
    ] {
        let line = format!("Accept-Encoding: {accepted}\r\n");
        let answer = request(&site, "GET", "/page.html", &line);
        assert_eq!((answer.body().as_str(), answer.header("content-encoding")), (body, coding), "{accepted}");
        assert_eq!(answer.header("content-type"), Some("text/html;charset=utf-8"));
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "also of the plain one");
        assert_eq!(request(&site, "HEAD", "/page.html", &line).head, answer.head);
        let known = format!("{line}If-None-Match: {}\r\n", answer.header("etag").expect("a tag"));
        let again = request(&site, "GET", "/page.html", &known);
        assert_eq!((again.status(), again.header("vary")), (304, Some("Accept-Encoding")));
    }
    let answer = request(&site, "GET", "/a%20b.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!((answer.body().as_str(), answer.header("vary")), ("space", None), "a neighbour that leads out");
    let late = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    let page = fs::File::options().write(true).open(site.0.join("root/page.html")).expect("it is there");
    page.set_modified(late).expect("it has a time");
    let answer = request(&site, "GET", "/page.html", "Accept-Encoding: gzip\r\n");
    assert_eq!((answer.body().as_str(), answer.header("vary")), ("plain", None), "a neighbour of an older version");
}

#[test]
fn files_are_for_get_and_head() {
    let site = site("methods");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = request(&site, method, "/", "Content-Length: 0\r\n");
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(request(&site, "HEAD", "/", "").status(), 200);
}

#[test]
fn the_example_serves_a_directory() {
    let site = site("example");
    let (_server, address) = Program::new("static_files").with("ROOT", site.0.join("root")).serve();
    let mut client = connect(address);
    ask(&mut client, "/sub/", "sub");
    ask(&mut client, "/link.txt", "<h3>404 Not Found</h3>");
}
