//! Where the files of an app are, unless it says otherwise: beside its program, as PHP's are beside the script.
//!
//! Every command of the program finds them there, from whichever directory and by whichever user it is given. A place that
//! depends on either (the working directory, `XDG_RUNTIME_DIR`, the first that can be written) would have `stop` look
//! elsewhere than `start`. Where the program lies in a directory of the system, such as `/usr/bin`, the app or its unit
//! names another place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::screens::Lines;

/// What the system puts behind the path of a program that was replaced.
const DELETED: &[u8] = b" (deleted)";

/// The path of this program, as it was at the first look: a newer file may take its place meanwhile.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::current_exe().unwrap_or_default();
        if path.exists() { path } else { without_mark(path) }
    })
}

/// What stands for PHP's `start.php` in messages: the program's name.
pub fn program_name() -> String {
    program().file_name().unwrap_or(OsStr::new("app")).to_string_lossy().into_owned()
}

/// PHP's messages about this program.
pub(super) fn lines() -> Lines<'static> {
    static NAME: OnceLock<String> = OnceLock::new();
    Lines { program: NAME.get_or_init(program_name) }
}

/// PHP's `workerman.<script>.pid`.
pub fn pid_file(program: &Path) -> PathBuf {
    let mut name = OsString::from("workerman.");
    name.push(program.file_name().unwrap_or(OsStr::new("app")));
    name.push(".pid");
    program.with_file_name(name)
}

fn without_mark(path: PathBuf) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    match bytes.strip_suffix(DELETED) {
        Some(bytes) => OsString::from_vec(bytes.to_vec()).into(),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_lies_beside_the_program() {
        assert_eq!(pid_file(Path::new("/srv/app/chat")), Path::new("/srv/app/workerman.chat.pid"));
        assert_eq!(pid_file(Path::new("/srv/app/chat.v2")), Path::new("/srv/app/workerman.chat.v2.pid"));
    }

    #[test]
    fn a_program_that_was_replaced_keeps_its_name() {
        assert_eq!(without_mark("/srv/app/chat (deleted)".into()), Path::new("/srv/app/chat"));
        assert_eq!(without_mark("/srv/app/chat".into()), Path::new("/srv/app/chat"));
    }

    #[test]
    fn the_program_is_found() {
        assert!(program().is_file());
        assert!(program().ends_with(program_name()));
    }
}
