//! The pages beside the crate are compiled, all of them, and lead to files that are there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `README.md` and everything in `docs`, relative to the project.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).expect("docs can be read");
    let names = entries.map(|entry| Path::new("docs").join(entry.expect("docs can be read").file_name()));
    let pages = names.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    [PathBuf::from("README.md")].into_iter().chain(pages).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_code_of_every_page_is_compiled() {
    let included = text(Path::new("src/docs.rs"));
    assert!(text(Path::new("src/lib.rs")).contains("#[cfg(doctest)]\nmod docs;\n"), "src/lib.rs takes it in");
    for page in pages() {
        let line = format!("#[doc = include_str!(\"../{}\")]", page.display());
        assert!(included.contains(&line), "src/docs.rs lacks {line}");
        for fence in text(&page).lines().filter(|line| line.trim_start().starts_with("```")) {
            assert!(!fence.contains("ignore"), "{}: {fence}: code that nothing compiles", page.display());
        }
    }
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    for page in pages() {
        let directory = page.parent().unwrap_or(Path::new(""));
        for link in text(&page).split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let elsewhere = link.is_empty() || link.contains("://") || link.contains(char::is_whitespace);
            let exists = root().join(directory).join(link).exists();
            assert!(elsewhere || exists, "{}: there is no {link}", page.display());
        }
    }
}

#[test]
fn every_test_that_the_conformance_pages_name_exists() {
    check_tests_of(Path::new("docs/http-conformance.md"), 60);
    check_tests_of(Path::new("docs/websocket-conformance.md"), 50);
}

fn check_tests_of(page: &Path, least: usize) {
    let page = text(page);
    let mut names = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let Some(tests) = row.trim_end_matches(" |").rsplit(" | ").next() else { continue };
        for test in tests.split('`').filter(|name| name.contains("::")) {
            let (file, function) = test.rsplit_once("::").expect("a file and a function");
            let module = file.strip_suffix("::tests").unwrap_or(file).replace("::", "/");
            let files = [format!("tests/{file}.rs"), format!("src/{module}/tests.rs"), format!("src/{module}.rs")];
            let found = files.iter().find(|file| root().join(file).exists()).map(|file| text(Path::new(file)));
            let found = found.unwrap_or_else(|| panic!("{test}: there is no such file"));
            assert!(found.contains(&format!("fn {function}(")), "{test}: there is no such test");
            names += 1;
        }
    }
    assert!(names > least, "{names} tests are named");
}
