//! Users and groups by name, as `/etc/passwd` and `/etc/group` have them.

use std::fs;
use std::io;

/// The number of a user; `None` for no name.
pub(crate) fn user(name: &str) -> io::Result<Option<u32>> {
    number(name, "/etc/passwd")
}

/// The number of a group; `None` for no name.
pub(crate) fn group(name: &str) -> io::Result<Option<u32>> {
    number(name, "/etc/group")
}

fn number(name: &str, file: &str) -> io::Result<Option<u32>> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    match find(&String::from_utf8_lossy(&fs::read(file)?), name) {
        Some(number) => Ok(Some(number)),
        None => Err(io::Error::new(io::ErrorKind::NotFound, format!("\"{name}\" is not in {file}"))),
    }
}

/// Of `name:password:number:…` in the line of this name.
fn find(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_number_is_taken() {
        assert_eq!(user("").unwrap(), None);
        assert_eq!((user("root").unwrap(), user("4711").unwrap()), (Some(0), Some(4711)));
        let table = "# root:x:5\nroot:x:0:0:root:/root:/bin/bash\nhalf:x\nwww:x:33\nwww:x:34";
        assert_eq!([find(table, "root"), find(table, "www")], [Some(0), Some(33)]);
        assert_eq!([find(table, "half"), find(table, "ww")], [None, None]);
        assert_eq!(group("nobody:here").unwrap_err().to_string(), "\"nobody:here\" is not in /etc/group");
    }
}
