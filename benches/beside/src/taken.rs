//! What a process has taken so far, from `/proc`.

use std::fs;

use crate::Result;

/// Of a process, by its number or `self`.
pub struct Taken {
    /// On the processor, all threads together.
    pub nanoseconds: u64,
    /// Resident memory in KiB.
    pub rss: u64,
}

impl Taken {
    pub fn by(process: &str) -> Result<Self> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
        }
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(Self { nanoseconds, rss: line.split_whitespace().next().ok_or("no VmRSS")?.parse()? })
    }
}
