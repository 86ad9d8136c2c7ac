//! Which callback, registered where, as a small number: what is kept with each callback, and what says of a failing or a
//! stuck one where to look.
//!
//! Invariant: a name and a place have one number in the whole process. So a program has as many as its text has places
//! where callbacks are set, however many connections set theirs there.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of a name and a place; 0 for neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site(u32);

/// So many bits of a number can be set. A program with more places than that has some whose callbacks are not told apart.
pub(super) const BITS: u32 = 20;
/// How many places a thread finds without the lock.
const NEAR: usize = 32;

type Place = Option<&'static Location<'static>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    name: &'static str,
    place: Place,
}

static SITES: Mutex<Sites> = Mutex::new(Sites { numbers: BTreeMap::new(), origins: Vec::new() });

struct Sites {
    numbers: BTreeMap<Origin, u32>,
    /// The first has the number 1.
    origins: Vec<Origin>,
}

thread_local! {
    /// The sites that this thread has asked for of late, each where its address leads.
    static RECENT: [Cell<Option<(Origin, Site)>>; NEAR] = const { [const { Cell::new(None) }; NEAR] };
}

impl Site {
    /// A callback of this name that is set where the caller is called.
    #[track_caller]
    #[inline]
    pub(crate) fn here(name: &'static str) -> Self {
        Self::of(Origin { name, place: Some(Location::caller()) })
    }

    /// User code that nobody has set as a callback: a destructor, a method of a trait.
    #[inline]
    pub(crate) fn unset(name: &'static str) -> Self {
        Self::of(Origin { name, place: None })
    }

    fn of(origin: Origin) -> Self {
        RECENT.with(|recent| {
            let Some(near) = recent.get(origin.address() % NEAR) else { return Self::look_up(origin) };
            if let Some((known, site)) = near.get().filter(|(known, _)| known.is_same(origin)) {
                debug_assert_eq!(known, origin);
                return site;
            }
            let site = Self::look_up(origin);
            near.set(Some((origin, site)));
            site
        })
    }

    #[cold]
    fn look_up(origin: Origin) -> Self {
        let mut sites = lock();
        if let Some(number) = sites.numbers.get(&origin) {
            return Self(*number);
        }
        let number = u32::try_from(sites.origins.len() + 1).ok().filter(|number| number >> BITS == 0);
        let Some(number) = number else { return Self::default() };
        sites.origins.push(origin);
        sites.numbers.insert(origin, number);
        Self(number)
    }

    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    fn origin(self) -> Option<Origin> {
        lock().origins.get((self.0 as usize).checked_sub(1)?).copied()
    }
}

impl Origin {
    /// A number that differs for those that a program uses one after another, as far as numbers can.
    fn address(self) -> usize {
        let place = self.place.map_or(0, |place| ptr::from_ref(place).addr() / align_of::<Location<'_>>());
        place ^ self.name.as_ptr().addr()
    }

    /// Whether it is the same text and the same place in memory, which is enough to know them by.
    fn is_same(self, other: Self) -> bool {
        let same_place = match (self.place, other.place) {
            (Some(place), Some(other)) => ptr::eq(place, other),
            (None, None) => true,
            _ => false,
        };
        same_place && ptr::eq(self.name, other.name)
    }
}

/// `on_message (registered at src/main.rs:12:5)`
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin() {
            Some(Origin { name, place: Some(place) }) => write!(f, "{name} (registered at {place})"),
            Some(Origin { name, place: None }) => f.write_str(name),
            None => f.write_str("a callback"),
        }
    }
}

/// Nothing in here panics while it holds the lock, so a poisoned one is as good.
fn lock() -> MutexGuard<'static, Sites> {
    SITES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[track_caller]
    fn set() -> Site {
        Site::here("on_test")
    }

    #[test]
    fn a_site_tells_its_name_and_where_it_was_set() {
        let (site, line) = (set().to_string(), line!());
        assert!(site.starts_with(&format!("on_test (registered at {}:{line}:", file!())), "{site}");
        assert_eq!(Site::unset("a test").to_string(), "a test");
        assert_eq!(Site::default().to_string(), "a callback");
    }

    #[test]
    fn a_place_has_one_number_however_often_and_on_whichever_thread() {
        let sites = || -> Vec<Site> { (0..1000).map(|_| Site::here("on_place")).collect() };
        let mut all = sites();
        all.extend(thread::spawn(sites).join().expect("it ends"));
        assert!(all.iter().all(|site| Some(site) == all.first()), "one place");
        assert_ne!(Site::here("on_place"), all[0], "another");
        let known = lock().origins.iter().filter(|origin| origin.name == "on_place").count();
        assert_eq!(known, 2);
    }

    #[test]
    fn many_places_are_told_apart() {
        // More than a thread has at hand.
        let names: Vec<&'static str> = (0..100).map(|number| &*format!("on_{number}").leak()).collect();
        for _ in 0..3 {
            for name in &names {
                assert_eq!(Site::unset(name).to_string(), *name);
            }
        }
    }
}
