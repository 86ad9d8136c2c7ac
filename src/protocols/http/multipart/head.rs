//! The head of a part: what it is called, and what a file in it is.

use memchr::{memchr, memrchr2};

use super::Error;
use super::parameters::{Parameters, split};
use crate::protocols::http::class::{CONTROL, TOKEN};
use crate::protocols::http::parts::trim;

/// What the head of a part says. Bytes that are not UTF-8 are U+FFFD in all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name as sent: `a[]` and the like are not taken apart.
    pub name: String,
    /// Of a file, its name without folders: what follows the last `/` or `\`. A part without it is a text field.
    pub file_name: Option<String>,
    /// Of a file, its path: the `webkitRelativePath` of the head, else the file name as sent.
    pub full_path: String,
    /// The part's Content-Type, empty if there is none.
    pub content_type: String,
}

/// Whether a line, its end included, is a header's.
pub(super) fn check_line(line: &[u8]) -> Result<(), Error> {
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(Error::Malformed("a line of a part's head does not end with CRLF"));
    };
    let Some((name, value)) = memchr(b':', line).and_then(|at| line.split_at_checked(at)) else {
        return Err(Error::Malformed("a line of a part's head without a colon"));
    };
    if name.is_empty() || !name.iter().all(|byte| TOKEN.has(*byte)) {
        return Err(Error::Malformed("a header of a part whose name is no token"));
    }
    if value.iter().any(|byte| CONTROL.has(*byte)) {
        return Err(Error::Malformed("a control character in a part's head"));
    }
    Ok(())
}

impl PartHead {
    /// Reads lines that were checked.
    pub(super) fn parse(lines: &[u8]) -> Result<Self, Error> {
        let (mut disposition, mut content_type, mut path) = (None, None, None);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let (name, value) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
            let value = trim(value.strip_prefix(b":").unwrap_or_default().trim_ascii_end());
            let known = match name.to_ascii_lowercase().as_slice() {
                b"content-disposition" => &mut disposition,
                b"content-type" => &mut content_type,
                b"webkitrelativepath" => &mut path,
                _ => continue,
            };
            if known.replace(value).is_some() {
                return Err(Error::Malformed("a header that stands twice in a part's head"));
            }
        }
        let mut head =
            Self::from_disposition(disposition.ok_or(Error::Malformed("a part without Content-Disposition"))?)?;
        head.content_type = text(content_type.unwrap_or_default());
        if let (Some(_), Some(path)) = (&head.file_name, path) {
            head.full_path = text(path);
        }
        Ok(head)
    }

    /// `form-data; name="field"; filename="path"`.
    ///
    /// A `filename*` is ignored: RFC 7578 §4.2 forbids to send it. A `%22` stays what it is, as in PHP: browsers escape
    /// quotes so, but not the percent sign, so what was meant is not known.
    fn from_disposition(value: &[u8]) -> Result<Self, Error> {
        let (kind, rest) = split(value);
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return Err(Error::Malformed("a part that is no form-data"));
        }
        let (mut parameters, mut name, mut path) = (Parameters(rest), None, None);
        while let Some((parameter, value)) = parameters.next()? {
            let known = match parameter.to_ascii_lowercase().as_slice() {
                b"name" => &mut name,
                b"filename" => &mut path,
                _ => continue,
            };
            if known.replace(value).is_some() {
                return Err(Error::Malformed("a part with two names"));
            }
        }
        let name = text(&name.ok_or(Error::Malformed("a part without a name"))?);
        let file_name = path.as_deref().map(|path| text(without_folders(path)));
        Ok(Self { name, file_name, full_path: text(&path.unwrap_or_default()), content_type: String::new() })
    }
}

fn without_folders(path: &[u8]) -> &[u8] {
    memrchr2(b'/', b'\\', path).and_then(|at| path.get(at + 1..)).unwrap_or(path)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Result<PartHead, Error> {
        lines.split_inclusive('\n').try_for_each(|line| check_line(line.as_bytes()))?;
        PartHead::parse(lines.as_bytes())
    }

    fn of(disposition: &str) -> Result<PartHead, Error> {
        head(&format!("Content-Disposition: {disposition}\r\n"))
    }

    #[test]
    fn a_field_has_the_name_that_was_sent() {
        for (disposition, name) in [
            ("form-data; name=\"a\"", "a"),
            ("form-data; name=a", "a"),
            ("FORM-DATA;NAME=\"a\"", "a"),
            ("form-data; name=\"\"", ""),
            ("form-data; name=\"a[b][]\"", "a[b][]"),
            ("form-data; name=\"\u{4e2d}\"", "\u{4e2d}"),
            ("form-data; name=\"a;b\"; x=y;", "a;b"),
            (r#"form-data; name="say \"hi\"""#, "say \"hi\""),
            ("form-data; name=\"filename=\"", "filename="),
        ] {
            let expected = PartHead { name: name.to_owned(), ..PartHead::default() };
            assert_eq!(of(disposition), Ok(expected), "{disposition}");
        }
    }

    #[test]
    fn a_file_has_its_name_without_folders_and_its_full_path() {
        for (parameter, name, path) in [
            ("filename=\"x.bin\"", "x.bin", "x.bin"),
            ("filename=x.bin", "x.bin", "x.bin"),
            ("filename=\"\"", "", ""),
            ("filename=\"a/b/x\"", "x", "a/b/x"),
            ("filename=\"../../etc/passwd\"", "passwd", "../../etc/passwd"),
            (r#"filename="C:\dir\x.txt""#, "x.txt", r"C:\dir\x.txt"),
            (r#"filename="a\"b.txt""#, "a\"b.txt", "a\"b.txt"),
            ("filename=\"a%22b.txt\"", "a%22b.txt", "a%22b.txt"),
            ("filename=\"dir/\"", "", "dir/"),
            ("filename=\"x\"; filename*=utf-8''evil", "x", "x"),
        ] {
            let head = of(&format!("form-data; name=\"f\"; {parameter}")).unwrap();
            assert_eq!((head.file_name.as_deref(), head.full_path.as_str()), (Some(name), path), "{parameter}");
        }
        assert_eq!(of("form-data; filename=\"a\"; name=\"f\"").unwrap().name, "f");
        assert_eq!(of("form-data; name=\"f\"; filename*=utf-8''x").unwrap().file_name, None);
    }

    #[test]
    fn other_headers_say_the_type_and_the_relative_path() {
        let lines = "content-type: text/css \r\nX-Own: y\r\nContent-Disposition:form-data; name=f; filename=x\r\n\
                     webkitRelativePath: dir/x\r\n";
        let head = head(lines).unwrap();
        assert_eq!((head.content_type.as_str(), head.full_path.as_str()), ("text/css", "dir/x"));
        assert_eq!(head.file_name.as_deref(), Some("x"));
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_malformed() {
        for disposition in [
            "",
            "form-data",
            "form-data; filename=\"x\"",
            "attachment; name=\"a\"",
            "form-data name=\"a\"",
            "form-data; name=\"a",
            "form-data; name=\"a\"b\"",
            "form-data; name=\"a\"; name=\"a\"",
            "form-data; name=\"a\"; filename=x; FileName=y",
            "form-data; name=\"a\\\"",
            "form-data; name=\"a\0b\"",
            "form-data; name=\"a\u{7f}\"",
            "form-data; name=\"a\rb\"",
            "form-data; name=\"a\nb\"",
        ] {
            assert!(matches!(of(disposition), Err(Error::Malformed(_))), "{disposition:?}");
        }
        let fine = "Content-Disposition: form-data; name=a\r\n";
        for lines in [
            "",
            "X: y\r\n",
            &format!("{fine}{fine}"),
            &format!("{fine}Content-Type: a/b\r\nContent-Type: a/b\r\n"),
            &format!("{fine} folded\r\n"),
            &format!("{fine}no colon\r\n"),
            &format!("{fine}: no name\r\n"),
            &format!("{fine}space : x\r\n"),
            &format!("{fine}X: y\n"),
            &format!("{fine}X: y\0\r\n"),
        ] {
            assert!(matches!(head(lines), Err(Error::Malformed(_))), "{lines:?}");
        }
    }
}
