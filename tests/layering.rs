//! The order of the layers, and what has one home only, read from the source text.
//!
//! A file imports from lower layers and from its own module, never from above or beside: then a layer can be read,
//! tested and replaced without those above it. Parts under `#[cfg(test)]` may import anything.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate root, lowest first. A module may import from those in the rows above its own.
const LAYERS: &[&[&str]] = &[
    &["error", "handle", "handover", "shared"],
    &["protocols"],
    &["address", "callback"],
    &["data", "part", "transport"],
    &["reactor"],
    &["timer", "task"],
    &["connection"],
    &["session", "udp"],
    &["client"],
    &["http_client"],
    &["event_source"],
    &["worker"],
    &["process"],
    &["testing"],
];

/// `lib.rs` names the modules and what of them is public; `docs.rs` holds no code.
const EXEMPT: &[&str] = &["lib.rs", "docs.rs"];

/// A longer file has two subjects. Its tests do not count.
const MAX_LINES: usize = 500;

/// One file of `src`, without its tests.
struct Source {
    /// Relative to `src`.
    path: String,
    text: String,
    /// The text without comments and without what is inside quotes; the same length in lines.
    code: String,
}

#[test]
fn files_import_from_lower_layers_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        if EXEMPT.contains(&source.path.as_str()) {
            continue;
        }
        let own = module_path(&source.path);
        let root = own.first().expect("only lib.rs is the crate root").clone();
        let layer = layer_of(&root);
        if layer.is_none() {
            wrong.push(format!("{}: `{root}` is in no layer", source.path));
        }
        for import in imports(&source.code, &own) {
            let fine = import == root || layer_of(&import).is_some_and(|other| layer.is_some_and(|own| other < own));
            if !fine {
                wrong.push(format!("{} imports crate::{import}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn every_layer_names_modules_that_are_there() {
    let sources = sources();
    for module in LAYERS.iter().copied().flatten() {
        let there = sources.iter().any(|source| module_path(&source.path).first().is_some_and(|own| own == module));
        assert!(there, "no module `{module}`");
    }
}

#[test]
fn protocols_know_neither_mio_nor_the_reactor() {
    for source in sources().iter().filter(|source| source.path.starts_with("protocols/")) {
        for word in ["mio", "reactor"] {
            assert_eq!(lines_with(source, word), "", "{} names {word}", source.path);
        }
    }
}

#[test]
fn only_the_clock_reads_the_clocks() {
    for source in sources().iter().filter(|source| source.path != "reactor/clock.rs") {
        for call in ["Instant::now", "SystemTime::now"] {
            assert_eq!(lines_with(source, call), "", "{} calls {call}", source.path);
        }
    }
}

#[test]
fn only_the_reactor_asks_for_randomness() {
    for source in sources().iter().filter(|source| source.path != "reactor/random.rs") {
        assert_eq!(lines_with(source, "getrandom"), "", "{} names getrandom", source.path);
    }
}

#[test]
fn tls_has_one_home() {
    for source in sources().into_iter().filter(|source| !source.path.starts_with("transport/tls")) {
        assert_eq!(lines_with(&source, "rustls"), "", "{} names rustls", source.path);
    }
}

#[test]
fn unsafe_code_is_forbidden_and_there_is_none() {
    for source in sources() {
        assert_eq!(lines_with(&source, "unsafe"), "", "{}", source.path);
        let forbids = source.code.contains("#![forbid(unsafe_code)]");
        assert_eq!(forbids, source.path == "lib.rs", "{}: forbidden in lib.rs, for all", source.path);
    }
}

#[test]
fn no_file_is_longer_than_500_lines_without_its_tests() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines", source.path);
    }
}

#[test]
fn the_reader_of_these_tests_sees_what_it_is_to_see() {
    let text = r##"
//! crate::comment
use crate::{callback::{self, Slot}, data, reactor::Key};
use super::write; /* use crate::block; */
fn f<'a>(x: &'a str) { let _ = ('"', "crate::text \" crate::more", r#"crate::raw"#); crate :: timer :: start(); }
mod inner { use super::super::error; use super::here; }
#[cfg(test)]
use crate::testing;
#[cfg(test)]
mod tests { use crate::worker; fn f() { "}"; } }
pub(crate) use super::super::task;
"##;
    let without_tests = without_tests(text);
    let code = code(&without_tests);
    let own = vec!["connection".to_owned(), "driver".to_owned()];
    assert_eq!(
        imports(&code, &own),
        ["callback", "data", "reactor", "connection", "timer", "connection", "connection", "task"]
    );
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let all = fs::read_to_string(&path).expect("a source file can be read");
        let relative = path.strip_prefix(&root).expect("it lies in src").to_string_lossy().into_owned();
        let text = without_tests(&all);
        let code = code(&text);
        Source { path: relative, text, code }
    };
    let sources: Vec<Source> = files.into_iter().map(read).collect();
    assert!(sources.iter().any(|source| source.path == "lib.rs"), "the sources are found");
    sources
}

/// All Rust files but those that hold tests only.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_declared_for_tests(&path) {
            files.push(path);
        }
    }
}

/// Whether the file's parent says `#[cfg(test)] mod name;`.
fn is_declared_for_tests(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = path.parent().unwrap_or(Path::new(""));
    let parents = [directory.join("mod.rs"), directory.join("lib.rs"), directory.with_extension("rs")];
    let declaration = format!("mod {stem};");
    parents.iter().filter_map(|parent| fs::read_to_string(parent).ok()).any(|text| {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.windows(2).any(|pair| {
            matches!(pair, [attribute, item]
            if *attribute == "#[cfg(test)]" && item.ends_with(&declaration))
        })
    })
}

/// `connection/driver.rs` is `connection::driver`.
fn module_path(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The text without the items under `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let code = code(text);
    let mut kept = String::new();
    let mut position = 0;
    while let Some(start) = code[position..].find(ATTRIBUTE).map(|offset| position + offset) {
        kept.push_str(&text[position..start]);
        let mut depth = 0_usize;
        let end = code[start + ATTRIBUTE.len()..].char_indices().find_map(|(offset, character)| {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            let ends = depth == 0 && matches!(character, '}' | ';');
            ends.then_some(start + ATTRIBUTE.len() + offset + 1)
        });
        position = end.unwrap_or(code.len());
    }
    kept.push_str(&text[position..]);
    kept
}

/// The text with comments and the contents of literals blanked out, every byte in its place.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = bytes.to_vec();
    let mut position = 0;
    let mut before = b' ';
    while position < bytes.len() {
        let rest = &text[position..];
        let in_word = before.is_ascii_alphanumeric() || before == b'_';
        let end = if rest.starts_with("//") {
            position + rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            position + rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br")) {
            raw_string_end(rest).map_or(position, |end| position + end)
        } else if rest.starts_with('"') {
            position + quoted_end(rest, '"')
        } else if rest.starts_with('\'') {
            // A character, not a lifetime: one character or an escape, then the quote.
            let mut characters = rest.chars().skip(1);
            let escape = characters.next() == Some('\\');
            if escape || characters.next() == Some('\'') { position + quoted_end(rest, '\'') } else { position }
        } else {
            position
        };
        if end > position {
            for byte in &mut kept[position..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            before = b' ';
            position = end;
        } else {
            before = bytes[position];
            position += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    String::from_utf8(kept).expect("whole characters are blanked out")
}

/// Where a quoted literal at the start of the text ends.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return offset + 1;
        }
    }
    text.len()
}

/// Where a raw string at the start of the text ends, if it is one.
fn raw_string_end(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let content = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - content.len();
    Some(content.find(&end).map_or(text.len(), |offset| start + offset + end.len()))
}

/// The modules of the crate root that paths in this code begin at, `super` resolved.
fn imports(code: &str, own: &[String]) -> Vec<String> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    // The inline modules that are open, each by the depth of braces it began at.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let token = token.as_str();
        let at = |offset: usize| tokens.get(index + offset).map_or("", String::as_str);
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
            }
            "mod" if at(2) == "{" => inline.push(depth),
            "crate" | "super" if at(1) == "::" && (index == 0 || tokens[index - 1] != "::") => {
                let mut ups = 0;
                while at(2 * ups) == "super" && at(2 * ups + 1) == "::" {
                    ups += 1;
                }
                let levels = own.len() + inline.len();
                // Where the path goes on, behind `crate::` or the last `super::`.
                let start = index + if token == "crate" { 2 } else { 2 * ups };
                if token == "crate" || ups >= levels {
                    found.extend(first_names(&tokens, start));
                } else {
                    found.extend(own.first().cloned());
                }
                index = start;
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// The first names of a path, or of each path in its braces.
fn first_names(tokens: &[String], start: usize) -> Vec<String> {
    let at = |index: usize| tokens.get(index).map_or("", String::as_str);
    if at(start) != "{" {
        return vec![at(start).to_owned()];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    for index in start..tokens.len() {
        match at(index) {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1 && matches!(at(index - 1), "{" | ",") && name != "," => names.push(name.to_owned()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Words, `::`, and single other characters.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    let mut after_colon = false;
    for character in code.chars() {
        let word = character.is_alphanumeric() || character == '_';
        match tokens.last_mut() {
            Some(last) if (word && in_word) || (character == ':' && after_colon) => last.push(character),
            _ if !character.is_whitespace() => tokens.push(character.to_string()),
            _ => {}
        }
        after_colon = character == ':' && !after_colon;
        in_word = word;
    }
    tokens
}

/// The lines of code with this word or path, with their numbers.
fn lines_with(source: &Source, path: &str) -> String {
    let wanted = tokens(path);
    let has = |line: &str| tokens(line).windows(wanted.len()).any(|window| window == wanted);
    let lines = source.code.lines().enumerate().filter(|(_, line)| has(line));
    lines.map(|(number, line)| format!("{}: {}\n", number + 1, line.trim())).collect()
}
