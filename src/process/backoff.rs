//! How long a place waits for its next process: not at all, until processes die there three times in ten seconds.

use super::wire::wire_struct;

const SECOND: u64 = 1_000_000_000;
/// Deaths within this time of running make a series, in nanoseconds.
const WINDOW: u64 = 10 * SECOND;
/// So many of them, and the next process waits.
const DEATHS: usize = 3;
/// The first wait, doubled each time.
const FIRST: u64 = SECOND / 2;
const LONGEST: u64 = 30 * SECOND;

/// The deaths of a place. Time counts only while a process runs there, so that waiting ends no series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    age: u64,
    deaths: Vec<u64>,
    series: u32,
}

wire_struct!(Backoff { age, deaths, series });

impl Backoff {
    /// A process has died after so many nanoseconds; answers how long the next one waits.
    pub(crate) fn died_after(&mut self, lifetime: u64) -> u64 {
        self.age = self.age.saturating_add(lifetime);
        self.deaths.push(self.age);
        if self.deaths.len() > DEATHS {
            self.deaths.remove(0);
        }
        let is_series = self.deaths.len() == DEATHS
            && self.deaths.first().is_some_and(|first| self.age.saturating_sub(*first) <= WINDOW);
        if !is_series {
            self.series = 0;
            return 0;
        }
        let wait = FIRST.checked_shl(self.series).unwrap_or(LONGEST).min(LONGEST);
        self.series = self.series.saturating_add(1).min(16);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_death_in_ten_seconds_has_to_wait_and_each_further_one_longer() {
        let mut place = Backoff::default();
        let waits: Vec<u64> = (0..12).map(|_| place.died_after(SECOND / 100) / (SECOND / 2)).collect();
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn who_lives_long_enough_is_replaced_at_once() {
        let mut place = Backoff::default();
        assert!((0..20).all(|_| place.died_after(5 * SECOND + 1) == 0));
        assert_eq!([place.died_after(0), place.died_after(0)], [SECOND / 2, SECOND]);
        assert_eq!(place.died_after(WINDOW + 1), 0, "a series ends with a long life");
    }
}
