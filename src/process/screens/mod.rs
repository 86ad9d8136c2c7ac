//! What an operator sees: the table at the start, `status` and `connections`, as texts made from data.
//!
//! The columns, their order and their widths are PHP's, so that what reads PHP's screens reads these. Nothing in here
//! asks the system anything.

mod banner;
mod connections;
mod json;
mod lines;
mod status;

pub use banner::{WorkerRow, banner};
pub use connections::{ConnectionStatus, connections};
pub use json::status_json;
pub use lines::{Lines, exited};
pub use status::{Counts, Exit, LoadAverage, ProcessStatus, Status, WorkerStatus, live, status};

/// What stands at the top of screens: who serves, made by what, on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// `0.1.0`
    pub workerman: String,
    /// `Rust/1.88 (release)`, where PHP has `PHP/8.2.36 (JIT off)`.
    pub language: String,
    /// `Linux/6.1.0`
    pub system: String,
}

impl Versions {
    fn line(&self) -> String {
        format!("{:<24}{:<30}{}\n", format!("Workerman/{}", self.workerman), self.language, self.system)
    }
}

/// The screen of all processes, for people or for programs.
pub fn status_as(found: &Status, json: bool) -> String {
    if json { status_json(found) } else { status(found) }
}

/// The longest of a column, and not less than PHP's least.
fn width<'a>(values: impl Iterator<Item = &'a str>) -> usize {
    const LEAST: usize = 8;
    // A name beyond it stands out of its column. The names are what processes say, which may be anything.
    const MOST: usize = 256;
    values.map(|value| value.chars().count()).max().unwrap_or(0).clamp(LEAST, MOST)
}

/// PHP's `str_pad` on both sides: what is odd goes to the right.
fn centred(text: &str, width: usize) -> String {
    format!("{text:-^width$}")
}

/// Control characters of a name would make rows of their own, or worse on a terminal.
fn cell(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_stands_in_the_middle_as_phps_does() {
        assert_eq!(centred(" A ", 8), "-- A ---");
        assert_eq!(centred(" A ", 7), "-- A --");
        assert_eq!(centred(" A ", 2), " A ");
    }

    #[test]
    fn a_name_makes_no_row_of_its_own() {
        assert_eq!(cell("web\n[OK]\t\u{1b}[2J"), "web?[OK]??[2J");
    }
}
