//! What the app's own program is told to do: `start`, `stop` and their kin, read from its arguments.
//!
//! The first word counts, as in PHP, and no word is `start`. What is not known is an error: a typing error in `stop`
//! must not start a server.

use std::ffi::{OsStr, OsString};
use std::fmt;

use lexopt::{Arg, Parser};

/// What an app's program is told on its command line: `app start -d`.
///
/// ```
/// use workerman::Command;
///
/// let arguments = ["restart", "-d"];
/// let restart = Command::Restart { daemon: true, graceful: false, quiet: false };
/// assert_eq!(Command::parse(arguments).ok(), Some(restart));
/// ```
#[doc(alias = "parseCommand")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Starts the workers.
    Start {
        /// `-d`: in the background.
        daemon: bool,
        /// `-g`: Ctrl-C and SIGINT stop gracefully.
        graceful: bool,
        /// `-q`: without the table of workers.
        quiet: bool,
    },
    /// Ends the program that runs.
    Stop {
        /// `-g`: as long as its answers take, up to the graceful timeout.
        graceful: bool,
    },
    /// Ends the program that runs, if one does, and starts it.
    Restart {
        /// `-d`: in the background.
        daemon: bool,
        /// `-g`: it stops gracefully.
        graceful: bool,
        /// `-q`: without the table of workers.
        quiet: bool,
    },
    /// Replaces the workers by those of the program that is on disk now.
    Reload {
        /// `-g`, as PHP's operators are used to. A reload is graceful without it too.
        graceful: bool,
    },
    /// Shows the processes.
    Status {
        /// `-d`: again each second.
        repeat: bool,
        /// `--json`: for programs.
        json: bool,
    },
    /// Shows the connections.
    Connections,
}

impl Command {
    /// The command in the arguments of this process.
    ///
    /// # Errors
    ///
    /// [`Usage`], when there is a word or an option that is not known, or help is asked for.
    ///
    /// ```
    /// use workerman::Command;
    ///
    /// match Command::from_arguments() {
    ///     Ok(command) => println!("{command:?}"),
    ///     Err(usage) => print!("{usage}"),
    /// }
    /// ```
    #[doc(alias = "getArgv")]
    pub fn from_arguments() -> Result<Self, Usage> {
        Self::parse(std::env::args_os().skip(1))
    }

    /// The command in these arguments, the program's name left out.
    ///
    /// # Errors
    ///
    /// [`Usage`], as of [`from_arguments`](Self::from_arguments).
    ///
    /// ```
    /// use workerman::Command;
    ///
    /// assert_eq!(Command::parse(["stop", "-g"]).ok(), Some(Command::Stop { graceful: true }));
    /// assert_eq!(Command::parse(["stpo"]).map_err(|usage| usage.exit_code()), Err(2));
    /// ```
    pub fn parse<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Result<Self, Usage> {
        let mut parser = Parser::from_args(arguments.into_iter().map(Into::into));
        let mut word = None;
        let mut modes = Modes::default();
        while let Some(argument) = parser.next().map_err(|error| Usage::of(error.to_string()))? {
            match argument {
                Arg::Value(value) => {
                    let known = Word::of(&value).ok_or_else(|| Usage::of(format!("unknown command {value:?}")))?;
                    word.get_or_insert(known);
                }
                Arg::Short('d') => modes.d = true,
                Arg::Short('g') => modes.g = true,
                Arg::Short('q') => modes.q = true,
                Arg::Long("json") => modes.json = true,
                Arg::Short('h') | Arg::Long("help") => return Err(Usage { wrong: None }),
                other => return Err(Usage::of(other.unexpected().to_string())),
            }
        }
        Ok(word.unwrap_or(Word::Start).with(modes))
    }

    /// The same with `-d`, where that is about the background.
    pub(super) fn in_background(self) -> Self {
        match self {
            Self::Start { graceful, quiet, .. } => Self::Start { daemon: true, graceful, quiet },
            Self::Restart { graceful, quiet, .. } => Self::Restart { daemon: true, graceful, quiet },
            other => other,
        }
    }

    /// The word that stands for it.
    ///
    /// ```
    /// assert_eq!(workerman::Command::Connections.word(), "connections");
    /// ```
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Reload { .. } => "reload",
            Self::Status { .. } => "status",
            Self::Connections => "connections",
        }
    }
}

/// What is shown to somebody who has said something that is no [`Command`], or has asked for help.
///
/// ```
/// use workerman::Command;
///
/// let usage = Command::parse(["frobnicate"]).unwrap_err();
/// assert!(usage.to_string().starts_with("unknown command \"frobnicate\"\nUsage: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// `None` when help was asked for.
    wrong: Option<String>,
}

impl Usage {
    /// What the process ends with: 2, and 0 if help was asked for. (PHP ends with 0 in any case.)
    ///
    /// ```
    /// use workerman::Command;
    ///
    /// assert_eq!(Command::parse(["--help"]).map_err(|usage| usage.exit_code()), Err(0));
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        if self.wrong.is_some() { 2 } else { 0 }
    }

    fn of(wrong: String) -> Self {
        Self { wrong: Some(wrong) }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(wrong) = &self.wrong {
            writeln!(f, "{wrong}")?;
        }
        f.write_str(USAGE)
    }
}

impl std::error::Error for Usage {}

/// PHP's text, with our program's name for `php yourfile` and what we do otherwise.
const USAGE: &str = "\
Usage: yourprogram <command> [mode]
Commands: 
start\t\tStart worker in DEBUG mode.
\t\tUse mode -d to start in DAEMON mode.
stop\t\tStop worker.
\t\tUse mode -g to stop gracefully.
restart\t\tRestart workers.
\t\tUse mode -d to start in DAEMON mode.
\t\tUse mode -g to stop gracefully.
reload\t\tReload codes.
status\t\tGet worker status.
\t\tUse mode -d to show live status.
\t\tUse mode --json for programs.
connections\tGet worker connections.
";

#[derive(Clone, Copy, Debug, Default)]
struct Modes {
    d: bool,
    g: bool,
    q: bool,
    json: bool,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Start,
    Stop,
    Restart,
    Reload,
    Status,
    Connections,
}

impl Word {
    fn of(text: &OsStr) -> Option<Self> {
        Some(match text.to_str()? {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" => Self::Restart,
            "reload" => Self::Reload,
            "status" => Self::Status,
            "connections" => Self::Connections,
            _ => return None,
        })
    }

    /// A mode that has no meaning for the word is passed over, as in PHP.
    fn with(self, Modes { d, g, q, json }: Modes) -> Command {
        match self {
            Self::Start => Command::Start { daemon: d, graceful: g, quiet: q },
            Self::Stop => Command::Stop { graceful: g },
            Self::Restart => Command::Restart { daemon: d, graceful: g, quiet: q },
            Self::Reload => Command::Reload { graceful: g },
            Self::Status => Command::Status { repeat: d, json },
            Self::Connections => Command::Connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Command = Command::Start { daemon: false, graceful: false, quiet: false };

    #[test]
    fn every_word_and_mode_is_understood() {
        let table: &[(&str, Command)] = &[
            ("", START),
            ("start", START),
            ("-d", Command::Start { daemon: true, graceful: false, quiet: false }),
            ("start -d", Command::Start { daemon: true, graceful: false, quiet: false }),
            ("-q start -dg", Command::Start { daemon: true, graceful: true, quiet: true }),
            ("stop", Command::Stop { graceful: false }),
            ("stop -g", Command::Stop { graceful: true }),
            ("-g stop", Command::Stop { graceful: true }),
            ("restart", Command::Restart { daemon: false, graceful: false, quiet: false }),
            ("restart -d -g -q", Command::Restart { daemon: true, graceful: true, quiet: true }),
            ("reload", Command::Reload { graceful: false }),
            ("reload -g", Command::Reload { graceful: true }),
            ("status", Command::Status { repeat: false, json: false }),
            ("status -d", Command::Status { repeat: true, json: false }),
            ("status --json", Command::Status { repeat: false, json: true }),
            ("connections", Command::Connections),
        ];
        for (line, command) in table {
            assert_eq!(Command::parse(line.split_whitespace()), Ok(*command), "{line}");
        }
    }

    #[test]
    fn the_first_word_counts_as_in_php() {
        assert_eq!(Command::parse(["start", "stop"]), Ok(START));
        assert_eq!(Command::parse(["stop", "start"]), Ok(Command::Stop { graceful: false }));
    }

    #[test]
    fn a_mode_without_meaning_is_passed_over_as_in_php() {
        assert_eq!(Command::parse(["connections", "-d", "-g"]), Ok(Command::Connections));
        assert_eq!(Command::parse(["stop", "-q"]), Ok(Command::Stop { graceful: false }));
    }

    #[test]
    fn what_is_not_known_shows_the_usage_and_exits_with_2() {
        for (line, wrong) in [
            ("frobnicate", "unknown command \"frobnicate\""),
            ("frobnicate start", "unknown command \"frobnicate\""),
            ("stop 127.0.0.1:80", "unknown command \"127.0.0.1:80\""),
            ("START", "unknown command \"START\""),
            ("start -x", "invalid option '-x'"),
            ("start --daemon", "invalid option '--daemon'"),
            ("status --json=1", "unexpected argument for option '--json': \"1\""),
        ] {
            let usage = Command::parse(line.split_whitespace()).expect_err(line);
            assert_eq!(usage.to_string(), format!("{wrong}\n{USAGE}"), "{line}");
            assert_eq!(usage.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn help_is_no_error() {
        for line in ["-h", "--help", "start --help"] {
            let usage = Command::parse(line.split_whitespace()).expect_err(line);
            assert_eq!((usage.to_string().as_str(), usage.exit_code()), (USAGE, 0), "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_word_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt;
        assert!(Command::parse([OsString::from_vec(vec![0xff, b'x'])]).is_err());
    }

    #[test]
    fn each_word_is_read_back() {
        for line in ["start", "stop", "restart", "reload", "status", "connections"] {
            assert_eq!(Command::parse([line]).map(Command::word), Ok(line));
        }
    }
}
