//! A slot table: values found by a small key that never names the wrong tenant.
//!
//! Values lie in pages of [`PAGE`] slots. A page has memory only while there are values in it, and new values go to the
//! lowest page with room, so that the far end empties and its memory goes back: after a peak, one long-lived value holds
//! one page, not all of them. See [`free`] for why pages are as large as they are.
//!
//! Invariants:
//! * a [`Key`] names one value for the life of the table, even across [`Table::clear`]: the generation of a slot
//!   grows with each tenant and is never reset;
//! * a slot whose generations are used up is retired, not wrapped, so keys are never reused;
//! * a page without values has no memory for any, but for one spare that the next page takes over. What stays of a slot
//!   that was ever used are the 4 bytes of its generation.

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
    /// Names nothing: no table has so many slots.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, generation: u32::MAX };

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

/// Slots of a page: a page of connections, which are many and large, is a block that the allocator maps by itself.
const PAGE: usize = 1024;

/// Values by [`Key`].
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// Every page that was ever used.
    pages: Vec<Page<T>>,
    /// The pages with values.
    occupied: PageSet,
    /// The pages that can take a value.
    roomy: PageSet,
    /// No page before this one is roomy.
    roomy_from: usize,
    len: usize,
    /// The memory of the page that was emptied last, lest a value that comes and goes takes and frees it each time.
    spare: Slab<Option<T>>,
}

#[derive(Debug)]
struct Page<T> {
    /// `None` marks a retired slot. Without memory while there are no values.
    values: Slab<Option<T>>,
    /// The generation of the present or next tenant of each slot.
    generations: [u32; PAGE],
    live: usize,
    retired: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let (occupied, roomy) = (PageSet::default(), PageSet::default());
        Self { pages: Vec::new(), occupied, roomy, roomy_from: 0, len: 0, spare: Slab::new() }
    }
}

impl<T> Table<T> {
    /// Stores a value, or gives it back when every slot is taken.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        self.insert_with(value, |_, value| value)
    }

    /// Stores what is made of a value and its key-to-be, or gives the value back when every slot is taken.
    #[inline]
    pub(crate) fn insert_with<V>(&mut self, value: V, make: impl FnOnce(Key, V) -> T) -> Result<Key, V> {
        let Some((index, page)) = self.roomy_page() else { return Err(value) };
        let low = page.vacant();
        let key = page.key(index, low);
        page.values.insert(Some(make(key, value)));
        page.live += 1;
        if !page.is_roomy() {
            self.roomy.set(index, false);
        }
        self.len += 1;
        Ok(key)
    }

    /// The first page with room, which has memory.
    #[inline]
    fn roomy_page(&mut self) -> Option<(usize, &mut Page<T>)> {
        let index = self.roomy.from(self.roomy_from).next().unwrap_or(self.pages.len());
        if index == self.pages.len() && index < SLOTS / PAGE {
            self.pages.push(Page { values: Slab::new(), generations: [0; PAGE], live: 0, retired: 0 });
            self.roomy.set(index, true);
        }
        self.roomy_from = index;
        let page = self.pages.get_mut(index)?;
        if page.live == 0 {
            page.values = std::mem::take(&mut self.spare);
            page.values.reserve_exact(PAGE);
            self.occupied.set(index, true);
        }
        Some((index, page))
    }

    /// Takes a value out; its key is dead from here on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.remove_present(key)
    }

    /// Takes the present tenant of a slot out, whose key the caller knows because the value tells it. With a million
    /// values in random order memory is what removing waits for, and here it waits once: the generation beside the
    /// values is written without being read.
    #[inline]
    pub(crate) fn remove_present(&mut self, key: Key) -> Option<T> {
        debug_assert!(self.get(key).is_some(), "{key:?} is not the present tenant");
        let (index, low) = split(key.slot);
        let page = self.pages.get_mut(index)?;
        // A retired slot has no tenant that could tell its key.
        let value = page.values.try_remove(low)?;
        let next = key.generation + 1;
        if let Some(generation) = page.generations.get_mut(low) {
            *generation = next;
        }
        let was_full = page.live + page.retired >= PAGE;
        page.live -= 1;
        page.retired += usize::from(next == GENERATIONS);
        let (is_empty, is_roomy) = (page.live == 0, page.is_roomy());
        self.len -= 1;
        if is_empty {
            self.release(index);
        }
        if was_full && is_roomy {
            self.roomy.set(index, true);
            self.roomy_from = self.roomy_from.min(index);
        }
        value
    }

    /// Gives up the memory of a page that has become empty.
    #[cold]
    fn release(&mut self, index: usize) {
        let Some(page) = self.pages.get_mut(index) else { return };
        page.values.clear();
        free(std::mem::replace(&mut self.spare, std::mem::take(&mut page.values)));
        self.occupied.set(index, false);
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let (index, low) = split(key.slot);
        let page = self.pages.get(index)?;
        if page.generations.get(low) != Some(&key.generation) {
            return None;
        }
        page.values.get(low)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (index, low) = split(key.slot);
        let page = self.pages.get_mut(index)?;
        if page.generations.get(low) != Some(&key.generation) {
            return None;
        }
        page.values.get_mut(low)?.as_mut()
    }

    /// The present tenant of a slot, for those whose values tell their keys.
    #[inline]
    pub(crate) fn slot_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (index, low) = split(slot);
        self.pages.get_mut(index)?.values.get_mut(low)?.as_mut()
    }

    /// The first value at or after `slot`, by slot number: a cursor that survives any change of the table.
    pub(crate) fn next_from(&self, slot: u32) -> Option<(Key, &T)> {
        let (first, low) = split(slot);
        self.occupied.from(first).find_map(|index| {
            let page = self.pages.get(index)?;
            let mut slots = if index == first { low..PAGE } else { 0..PAGE };
            slots.find_map(|low| Some((page.key(index, low), page.values.get(low)?.as_ref()?)))
        })
    }

    /// The keys of all values, in the order of their slots.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::with_capacity(self.len);
        let mut slot = 0;
        while let Some((key, _)) = self.next_from(slot) {
            keys.push(key);
            slot = key.slot + 1;
        }
        keys
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes every value out. Generations survive, so old keys stay dead.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        let mut slot = 0;
        while let Some((key, _)) = self.next_from(slot) {
            values.extend(self.remove(key));
            slot = key.slot;
        }
        free(std::mem::take(&mut self.spare));
        values
    }
}

impl<T> Page<T> {
    /// The place for the next value, in a roomy page that has memory.
    #[inline]
    fn vacant(&mut self) -> usize {
        // A worn-out slot is met when it comes up for use, and never again while the page keeps its memory.
        while self.generations.get(self.values.vacant_key()) == Some(&GENERATIONS) {
            self.values.insert(None);
        }
        self.values.vacant_key()
    }

    fn is_roomy(&self) -> bool {
        self.live + self.retired < PAGE
    }

    fn key(&self, index: usize, low: usize) -> Key {
        let generation = self.generations.get(low).copied().unwrap_or(GENERATIONS);
        // There are no more than SLOTS (2^22) slots.
        Key { slot: u32::try_from(index * PAGE + low).unwrap_or(u32::MAX), generation }
    }
}

/// Gives the memory of an empty page back.
///
/// Blocks on the heap of an allocator such as glibc's go back only when nothing above them is left, and something always
/// is. A block of 128 KiB is mapped by itself and goes back at once; but freeing it makes glibc put blocks of that size on
/// the heap from then on. It draws no such conclusion from a block that has become small before.
fn free<T>(mut values: Slab<Option<T>>) {
    if values.capacity() > 0 {
        values.insert(None);
        values.shrink_to_fit();
    }
}

/// The page of a slot, and its place there.
#[inline]
const fn split(slot: u32) -> (usize, usize) {
    (slot as usize / PAGE, slot as usize % PAGE)
}

/// A set of pages, one bit each: four million slots are 64 words to look through.
#[derive(Debug, Default)]
struct PageSet(Vec<u64>);

impl PageSet {
    fn set(&mut self, page: usize, on: bool) {
        let (nth, bit) = (page / 64, 1 << (page % 64));
        if self.0.len() <= nth {
            self.0.resize(nth + 1, 0);
        }
        if let Some(word) = self.0.get_mut(nth) {
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    /// The pages of the set at or after one, in order.
    fn from(&self, first: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.next(first), |page| self.next(page + 1))
    }

    fn next(&self, first: usize) -> Option<usize> {
        let mut mask = u64::MAX << (first % 64);
        self.0.iter().enumerate().skip(first / 64).find_map(|(nth, word)| {
            let bits = word & std::mem::replace(&mut mask, u64::MAX);
            (bits != 0).then(|| nth * 64 + bits.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests;
