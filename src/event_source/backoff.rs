//! How long a source waits before it comes back.
//!
//! Once as long as the server has said; each further attempt that comes to nothing doubles it, up to a minute, and chance
//! spreads those who have lost the same server. Nothing the server says keeps a source away for more than a day, or brings it
//! back without a pause.

const SECOND: u64 = 1_000_000_000;
/// What a server that says nothing has its clients wait.
const USUAL: u64 = 3 * SECOND;
const SHORTEST: u64 = SECOND / 100;
/// Where doubling ends, unless the server asks for more.
const LONGEST: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * 60 * SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    wait: u64,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait: USUAL, failures: 0 }
    }
}

impl Backoff {
    /// The server has said how many milliseconds to wait.
    pub(super) fn set_retry(&mut self, milliseconds: u64) {
        self.wait = milliseconds.saturating_mul(1_000_000).clamp(SHORTEST, DAY);
    }

    /// A stream is open.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }

    /// It was lost, or did not come about: answers the nanoseconds to wait, at least as many as the server has asked for with
    /// its answer.
    pub(super) fn fail(&mut self, at_least: u64, chance: u64) -> u64 {
        let doubled = self.wait.checked_shl(self.failures.min(16)).unwrap_or(u64::MAX);
        let longest = doubled.min(LONGEST.max(self.wait));
        // By the first failure nobody has stood in line yet, so the server's word holds exactly.
        let spread = if self.failures == 0 { 0 } else { longest / 2 };
        self.failures = self.failures.saturating_add(1);
        let wait = longest - if spread == 0 { 0 } else { chance % spread };
        wait.max(at_least.min(DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wait_is_the_servers_and_the_next_ones_grow_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..40).map(|_| backoff.fail(0, 0) / SECOND).collect();
        assert_eq!(waits[..6], [3, 6, 12, 24, 48, 60]);
        assert!(waits[6..].iter().all(|wait| *wait == 60));
        backoff.succeed();
        assert_eq!(backoff.fail(0, u64::MAX), 3 * SECOND);
    }

    #[test]
    fn chance_takes_away_less_than_half() {
        let mut backoff = Backoff { wait: SECOND, failures: 1 };
        for chance in [0, 1, SECOND - 1, SECOND, u64::MAX] {
            backoff.failures = 1;
            let wait = backoff.fail(0, chance);
            assert!(wait > SECOND && wait <= 2 * SECOND, "{wait}");
        }
    }

    #[test]
    fn what_the_server_asks_for_has_bounds() {
        let mut backoff = Backoff::default();
        for (retry, expected) in [(0, SHORTEST), (1, SHORTEST), (500, SECOND / 2), (u64::MAX, DAY)] {
            backoff.set_retry(retry);
            backoff.succeed();
            assert_eq!(backoff.fail(0, 0), expected);
        }
        assert_eq!(backoff.fail(0, 0), DAY, "no longer than that, and no shorter than asked for");
        assert_eq!(Backoff::default().fail(10 * SECOND, 0), 10 * SECOND);
        assert_eq!(Backoff::default().fail(u64::MAX, 0), DAY);
    }
}
