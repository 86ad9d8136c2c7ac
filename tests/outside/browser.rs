//! The browser that this machine has, without a window.

use std::path::Path;
use std::process::Command;

use super::{Process, TemporaryDirectory};

/// A headless browser that shows a page until it is dropped, with a profile of its own.
#[derive(Debug)]
pub(crate) struct Browser {
    _process: Process,
    _profile: TemporaryDirectory,
}

impl Browser {
    pub(crate) fn open(url: &str) -> Self {
        let profile = TemporaryDirectory::new("browser");
        let process = start_browser(&profile.0, &[], url);
        Self { _process: process, _profile: profile }
    }
}

/// A browser without a window that opens a page, with more options if the test needs them. What it keeps goes to the
/// profile, a directory.
pub(crate) fn start_browser(profile: &Path, options: &[&str], url: &str) -> Process {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let installed = |name: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
    };
    let browser = names.into_iter().find(installed).unwrap_or_else(|| {
        panic!("this test needs a browser and there is none ({}): ./tests/run installs chromium", names.join(", "))
    });
    Process::start(
        Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-breakpad", "--disable-crash-reporter", "--no-default-browser-check"])
            // Reaches nothing but this machine, whatever proxy the environment names.
            .args(["--no-proxy-server", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .envs([("HOME", profile), ("XDG_CONFIG_HOME", profile), ("XDG_CACHE_HOME", profile)])
            .args(options)
            .arg(url),
    )
}
