//! A hierarchical timer wheel: which of a million timers is due next, without sorting them.
//!
//! It knows no clock and runs nothing: ticks are plain numbers, the owner says which tick it is with
//! [`Wheel::advance`] and takes what has expired with [`Wheel::pop_expired`].
//!
//! Every level has 64 slots, and a slot of one level spans all slots of the level below. An entry lies on the level of
//! the highest digit (base 64) in which its due tick differs from `elapsed`, in the slot of its digit there, and falls
//! to a lower level when `elapsed` comes near it: at most ten times in its life.
//!
//! Invariants:
//! * the place of a waiting entry follows from `elapsed` and its due tick alone. So entries with the same due tick
//!   always share a slot, and lists that are only appended to and moved from the front keep them in order of insertion;
//! * `elapsed` never enters the span of an occupied slot, other than by emptying it. So every occupied slot lies after
//!   `elapsed`, a lower level comes before all higher ones, and the first occupied slot holds the next due entry. The
//!   one exception is the slot of `elapsed` itself on level 0, which is otherwise empty: what is inserted too late waits
//!   there, hence before all others;
//! * a slot remembers the least due tick of its entries. Appending keeps it exact; removing does not look for the next
//!   one, and so may leave it too early, but never too late;
//! * a live entry that waits or has expired is named exactly once, by the list of its place. A list may also name dead
//!   ones, which the generation in their keys tells apart; it counts the live, forgets all when none is left, and is
//!   swept when the dead are too many.
//!
//! A list is an array of keys rather than links between entries: removing touches the entry only, where links mean two
//! more entries somewhere in memory, and that is what removing one of a million costs. Moving a list reads keys in a row
//! instead of waiting for each entry to learn which is next.
//!
//! The remembered minimum makes [`Wheel::next_due`] exact, where a wheel usually knows only the start of a slot: its
//! owner would be woken, up to once per level, just to move entries down. Here an idle process with one timer an hour
//! away sleeps for an hour. Entries move down only when something in their slot is due, and most timeouts are removed
//! before that.

use std::collections::VecDeque;

use super::table::{Key, Table};

/// Bits of a tick that choose the slot on one level.
const BITS: u32 = 6;
/// Slots of a level.
const SLOTS: u16 = 1 << BITS;
/// Enough for every `u64`: the last level has four bits left, and no tick is too far away.
const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;
/// So many dead keys in a list are not worth a sweep. Few in tests, whose lists are short.
const FEW_DEAD: usize = if cfg!(test) { 2 } else { 64 };
/// An empty list keeps room for so many keys, lest a near slot, which fills again and again, takes memory each time.
const KEPT_ROOM: usize = if cfg!(test) { 4 } else { 64 };

/// Values with a due tick each, found by [`Key`], by what is due next, and by what has expired.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    table: Table<Entry<T>>,
    /// Everything due up to here has left the wheel. May lag behind the last `advance`, see there.
    elapsed: u64,
    /// Which slots of each level have entries.
    occupied: [u64; LEVELS],
    /// The slots of level 0, then those of level 1, ... as far as levels were ever needed.
    slots: Vec<List>,
    expired: VecDeque<Key>,
}

/// (In this order a value is moved in whole words, apart from the mark of a vacant slot; behind a copy in uneven pieces
/// the processor waits for memory before it goes on.)
#[derive(Debug)]
#[repr(C)]
struct Entry<T> {
    place: Place,
    /// That of its key, beside what it is asked for: the table's own copy lies elsewhere in memory.
    generation: u32,
    due: u64,
    value: T,
}

/// The list that names an entry. (As an enum it leaves the table room to mark vacant slots without a further word.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// None: it was popped and not rescheduled since.
    Parked,
    Expired,
    /// An index of `Wheel::slots`.
    Slot(u16),
}

/// The entries of a slot, in order of insertion, and dead ones between them.
#[derive(Clone, Debug)]
struct List {
    keys: Vec<Key>,
    live: usize,
    /// Nothing in the list is due before.
    min: u64,
}

const EMPTY: List = List { keys: Vec::new(), live: 0, min: u64::MAX };

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        let (table, expired) = (Table::default(), VecDeque::new());
        Self { table, elapsed: 0, occupied: [0; LEVELS], slots: Vec::new(), expired }
    }
}

impl<T> Wheel<T> {
    /// Stores a value that expires with the first [`Wheel::advance`] to `due` or later; with the next one when `due`
    /// has passed already. Gives it back when the table is full.
    pub(crate) fn insert(&mut self, due: u64, value: T) -> Result<Key, T> {
        let index = self.index(due);
        let entry = |key: Key, value| Entry { due, generation: key.generation, place: Place::Slot(index), value };
        let key = self.table.insert_with(value, entry)?;
        self.list(index, key, due);
        Ok(key)
    }

    /// Takes a value out, wherever it is: waiting, expired or popped.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.entry(key)?.place;
        let value = self.table.remove_present(key)?.value;
        if let Place::Slot(index) = place {
            self.bury(index);
        }
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.entry(key).map(|entry| &mut entry.value)
    }

    /// When a value is, or was, due: the tick it was last given, even one that had passed already.
    pub(crate) fn due(&self, key: Key) -> Option<u64> {
        self.table.get(key).map(|entry| entry.due)
    }

    /// Makes a value wait for another tick, as if inserted anew but with the same key. `false` when the key is dead.
    pub(crate) fn reschedule(&mut self, key: Key, due: u64) -> bool {
        let index = self.index(due);
        let Some(entry) = self.entry(key) else { return false };
        entry.due = due;
        // Its old name is alive still, so it must go at once. That is slow, and rare: a timer that runs is parked.
        match std::mem::replace(&mut entry.place, Place::Slot(index)) {
            Place::Parked => {}
            Place::Expired => self.expired.retain(|other| *other != key),
            Place::Slot(old) => {
                if let Some(list) = self.slots.get_mut(usize::from(old)) {
                    list.keys.retain(|other| *other != key);
                }
                self.bury(old);
            }
        }
        self.list(index, key, due);
        true
    }

    /// The tick to call [`Wheel::advance`] at: no waiting entry is due before it. Some entry is due just then, unless
    /// the one that was has been removed or rescheduled meanwhile; then the call finds nothing to expire, and forgets
    /// it. Expired entries do not count: they wait for [`Wheel::pop_expired`].
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.first().map(|(_, min)| min)
    }

    /// Lets everything due up to `now` expire, in order of due tick and then of insertion, after what expired earlier.
    pub(crate) fn advance(&mut self, now: u64) {
        let now = now.max(self.elapsed);
        while let Some((index, min)) = self.first().filter(|(_, min)| *min <= now) {
            let mut keys = self.empty(index);
            if min < self.elapsed {
                // Late entries are the only ones of different due ticks in a slot of level 0. They are rare: a timer of
                // zero ticks is due at `elapsed`, not before.
                let table = &self.table;
                keys.sort_by_key(|key| table.get(*key).map(|entry| entry.due));
            } else {
                // Straight to the minimum, not just to the start of the slot: what is due then lands on level 0 at once.
                self.elapsed = min;
            }
            for key in &keys {
                self.move_on(*key, index < SLOTS);
            }
            self.give_back(index, keys);
        }
        // Follow the clock, as near levels are cheaper, but stay outside of a slot that is not due as a whole. Its start
        // lies after `elapsed`, so it is not 0.
        self.elapsed = self.first().map_or(now, |(index, min)| {
            let span = BITS * u32::from(index / SLOTS);
            now.min((min >> span << span) - 1)
        });
    }

    /// The next expired entry. It stays in the table, for the caller to remove, to reschedule, or to leave there until
    /// then. Only `advance` adds to these, so what is inserted or rescheduled meanwhile never comes out in the same
    /// round: a timer of zero ticks does not keep its owner from other work.
    pub(crate) fn pop_expired(&mut self) -> Option<Key> {
        loop {
            let key = self.expired.pop_front()?;
            if let Some(entry) = self.entry(key) {
                entry.place = Place::Parked;
                return Some(key);
            }
        }
    }

    /// How many values there are, waiting, expired and popped.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.table.len()
    }

    /// How many of the values are such. Looks at all of them.
    pub(crate) fn count(&self, is_such: impl Fn(&T) -> bool) -> usize {
        let mut slot = 0;
        let mut count = 0;
        while let Some((key, entry)) = self.table.next_from(slot) {
            count += usize::from(is_such(&entry.value));
            slot = key.slot + 1;
        }
        count
    }

    /// Takes every value out. Old keys stay dead, and the time stays what it was.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        (self.occupied, self.slots, self.expired) = ([0; LEVELS], Vec::new(), VecDeque::new());
        self.table.clear().into_iter().map(|entry| entry.value).collect()
    }

    #[inline]
    fn entry(&mut self, key: Key) -> Option<&mut Entry<T>> {
        self.table.slot_mut(key.slot).filter(|entry| entry.generation == key.generation)
    }

    /// The slot where an entry due then has to wait.
    fn index(&self, due: u64) -> u16 {
        let due = due.max(self.elapsed);
        let level = ((due ^ self.elapsed) | 1).ilog2() / BITS;
        let digit = (due >> (BITS * level)) & u64::from(SLOTS - 1);
        // At most 10 * 64 + 63.
        ((u64::from(level) * u64::from(SLOTS) + digit) & 0x3ff) as u16
    }

    /// The first slot with entries, and the least due tick there.
    fn first(&self) -> Option<(u16, u64)> {
        let (level, occupied) = (0..).zip(&self.occupied).find(|(_, occupied)| **occupied != 0)?;
        let index = level * SLOTS + (occupied.trailing_zeros() & 0x3f) as u16;
        Some((index, self.slots.get(usize::from(index))?.min))
    }

    /// Names an entry at the end of a slot's list.
    fn list(&mut self, index: u16, key: Key, due: u64) {
        let level = usize::from(index / SLOTS);
        if self.slots.len() <= usize::from(index) {
            self.slots.resize((level + 1) * usize::from(SLOTS), EMPTY);
        }
        if let (Some(list), Some(occupied)) = (self.slots.get_mut(usize::from(index)), self.occupied.get_mut(level)) {
            list.keys.push(key);
            list.live += 1;
            list.min = list.min.min(due);
            *occupied |= 1 << (index % SLOTS);
        }
    }

    /// One entry of a slot is gone, and its key is dead or no longer listed.
    fn bury(&mut self, index: u16) {
        let Some(list) = self.slots.get_mut(usize::from(index)) else { return };
        list.live -= 1;
        if list.live == 0 {
            let keys = self.empty(index);
            self.give_back(index, keys);
        } else if list.keys.len() > 3 * list.live + FEW_DEAD {
            // At least two of three are dead, so each removal pays for looking at one key and a half.
            let table = &self.table;
            list.keys.retain(|key| table.get(*key).is_some());
            list.keys.shrink_to(2 * list.live);
        }
    }

    /// Takes what a slot lists, dead ones too.
    fn empty(&mut self, index: u16) -> Vec<Key> {
        if let Some(occupied) = self.occupied.get_mut(usize::from(index / SLOTS)) {
            *occupied &= !(1 << (index % SLOTS));
        }
        let list = self.slots.get_mut(usize::from(index));
        list.map(|list| std::mem::replace(list, EMPTY).keys).unwrap_or_default()
    }

    /// Lets an emptied slot use its room again, unless that is much. Nothing has been listed there since.
    fn give_back(&mut self, index: u16, mut keys: Vec<Key>) {
        if keys.capacity() <= KEPT_ROOM
            && let Some(list) = self.slots.get_mut(usize::from(index))
        {
            keys.clear();
            list.keys = keys;
        }
    }

    /// Brings an entry that was listed in an emptied slot to where it belongs now.
    fn move_on(&mut self, key: Key, expires: bool) {
        let Some(due) = self.entry(key).map(|entry| entry.due) else { return };
        let index = self.index(due);
        if let Some(entry) = self.table.slot_mut(key.slot) {
            entry.place = if expires { Place::Expired } else { Place::Slot(index) };
        }
        if expires {
            self.expired.push_back(key);
        } else {
            self.list(index, key, due);
        }
    }
}

#[cfg(test)]
mod tests;
