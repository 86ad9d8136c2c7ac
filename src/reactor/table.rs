//! A slot table: values found by a small key that never names the wrong tenant.
//!
//! Invariants:
//! * a [`Key`] names one value for the life of the table, even across [`Table::clear`]: the generation of a slot
//!   grows with each tenant and is never reset;
//! * a slot whose generations are used up is retired, not wrapped, so keys are never reused;
//! * the values' memory shrinks when the table is mostly empty, the 4-byte generations stay.

use slab::Slab;

/// Names one value of a [`Table`]: its slot, and how many tenants the slot had before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Bits of a slot number: at most four million live values.
pub(crate) const SLOT_BITS: u32 = 22;
/// Bits of a generation. With [`SLOT_BITS`] they make 45 of the 53 bits of a public id; eight are kept for the process.
pub(crate) const GENERATION_BITS: u32 = 23;

const SLOTS: usize = 1 << SLOT_BITS;
const GENERATIONS: u32 = 1 << GENERATION_BITS;

impl Key {
    /// The public number of this key: 1 for the first tenant of the first slot, below 2^45 + 1.
    pub(crate) const fn number(self) -> u64 {
        1 + self.slot as u64 + ((self.generation as u64) << SLOT_BITS)
    }

    /// The inverse of [`Key::number`].
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        let bits = number.checked_sub(1)?;
        let generation = u32::try_from(bits >> SLOT_BITS).ok().filter(|g| *g < GENERATIONS)?;
        let slot = u32::try_from(bits & (SLOTS as u64 - 1)).ok()?;
        Some(Self { slot, generation })
    }
}

/// Values by [`Key`].
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// `None` marks a retired slot.
    values: Slab<Option<T>>,
    /// The generation of the present or next tenant of each slot ever used.
    generations: Vec<u32>,
    retired: usize,
    /// Shrinking is tried again only once the table is this small: it costs a walk over the free slots.
    shrink_below: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { values: Slab::new(), generations: Vec::new(), retired: 0, shrink_below: usize::MAX }
    }
}

impl<T> Table<T> {
    /// Stores a value, or gives it back when every slot is taken.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        let slot = loop {
            let slot = self.values.vacant_key();
            if slot >= SLOTS {
                return Err(value);
            }
            if slot == self.generations.len() {
                self.generations.push(0);
            }
            if self.generations.get(slot).is_some_and(|g| *g < GENERATIONS) {
                break slot;
            }
            self.values.insert(None);
            self.retired += 1;
        };
        self.values.insert(Some(value));
        Ok(self.key(slot))
    }

    /// Takes a value out; its key is dead from here on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let value = self.values.try_remove(key.slot as usize)?;
        if let Some(generation) = self.generations.get_mut(key.slot as usize) {
            *generation += 1;
        }
        self.shrink();
        value
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        if self.generations.get(key.slot as usize) != Some(&key.generation) {
            return None;
        }
        self.values.get(key.slot as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        if self.generations.get(key.slot as usize) != Some(&key.generation) {
            return None;
        }
        self.values.get_mut(key.slot as usize)?.as_mut()
    }

    /// The present tenant of a slot, for structures that link the values of one table by slot number.
    #[inline]
    pub(crate) fn slot(&self, slot: u32) -> Option<&T> {
        self.values.get(slot as usize)?.as_ref()
    }

    /// Like [`Table::slot`], to change the tenant.
    #[inline]
    pub(crate) fn slot_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.values.get_mut(slot as usize)?.as_mut()
    }

    /// The first value at or after `slot`, by slot number: a cursor that survives any change of the table.
    pub(crate) fn next_from(&self, slot: u32) -> Option<(Key, &T)> {
        (slot as usize..self.generations.len())
            .find_map(|slot| Some((self.key(slot), self.values.get(slot)?.as_ref()?)))
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len() - self.retired
    }

    /// Takes every value out. Generations survive, so old keys stay dead.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        for (slot, value) in std::mem::take(&mut self.values) {
            if let (Some(value), Some(generation)) = (value, self.generations.get_mut(slot)) {
                *generation += 1;
                values.push(value);
            }
        }
        self.retired = 0;
        self.shrink_below = usize::MAX;
        values
    }

    fn key(&self, slot: usize) -> Key {
        let generation = self.generations.get(slot).copied().unwrap_or(GENERATIONS);
        // `insert` never hands out a slot of SLOTS (2^22) or more.
        Key { slot: u32::try_from(slot).unwrap_or(u32::MAX), generation }
    }

    /// Gives memory back when three quarters of it are unused. What stays in use at the far end keeps its slot, so the
    /// next try waits until half of what is left has gone.
    fn shrink(&mut self) {
        const SMALL: usize = 64;
        let (used, capacity) = (self.values.len(), self.values.capacity());
        if capacity > SMALL && used < capacity / 4 && used < self.shrink_below {
            self.values.shrink_to_fit();
            self.shrink_below = if self.values.capacity() < capacity / 2 { usize::MAX } else { used / 2 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_the_next_tenant() {
        let mut table = Table::default();
        let first = table.insert("a").unwrap();
        assert_eq!(table.remove(first), Some("a"));
        let second = table.insert("b").unwrap();
        assert_eq!(first.slot, second.slot);
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&"b"));
    }

    #[test]
    fn clearing_keeps_old_keys_dead() {
        let mut table = Table::default();
        let old = table.insert(1).unwrap();
        assert_eq!(table.clear(), [1]);
        let new = table.insert(2).unwrap();
        assert_ne!(old, new);
        assert_eq!(table.get(old), None);
    }

    #[test]
    fn numbers_start_at_one_and_lead_back() {
        let mut table = Table::default();
        let keys: Vec<Key> = (0..3).map(|value| table.insert(value).unwrap()).collect();
        assert_eq!(keys.iter().map(|key| key.number()).collect::<Vec<_>>(), [1, 2, 3]);
        for key in keys {
            assert_eq!(Key::from_number(key.number()), Some(key));
        }
        assert_eq!(Key::from_number(0), None);
        assert_eq!(Key::from_number(u64::MAX), None);
        let last = Key { slot: (1 << SLOT_BITS) - 1, generation: GENERATIONS - 1 };
        assert!(last.number() <= 1 << 45);
        assert_eq!(Key::from_number(last.number()), Some(last));
    }

    #[test]
    fn a_worn_out_slot_is_retired() {
        let mut table = Table::default();
        let key = table.insert(0).unwrap();
        table.generations[0] = GENERATIONS - 1;
        let last = Key { generation: GENERATIONS - 1, ..key };
        assert_eq!(table.remove(last), Some(0));
        let next = table.insert(1).unwrap();
        assert_eq!((next.slot, next.generation), (1, 0));
        assert_eq!(table.len(), 1);
        assert_eq!(table.next_from(0).map(|(key, value)| (key, *value)), Some((next, 1)));
    }

    #[test]
    fn memory_is_given_back_when_mostly_empty() {
        let mut table = Table::default();
        let keys: Vec<Key> = (0..10_000).map(|value| table.insert([value; 20]).unwrap()).collect();
        for key in keys {
            table.remove(key);
        }
        assert!(table.values.capacity() <= 64, "capacity {}", table.values.capacity());
    }

    #[test]
    fn a_value_at_the_far_end_does_not_make_every_removal_walk_the_table() {
        let mut table = Table::default();
        let keys: Vec<Key> = (0..100_000).map(|value| table.insert(value).unwrap()).collect();
        for key in &keys[..99_999] {
            table.remove(*key);
        }
        assert_eq!(table.get(keys[99_999]), Some(&99_999));
    }
}
