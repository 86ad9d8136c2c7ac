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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The slots that memory is held for.
    fn memory<T>(table: &Table<T>) -> usize {
        table.pages.iter().map(|page| &page.values).chain([&table.spare]).map(Slab::capacity).sum()
    }

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
        table.pages[0].generations[0] = GENERATIONS - 1;
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
        assert_eq!(memory(&table), PAGE);
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

    #[test]
    fn a_value_at_the_far_end_holds_its_own_page_only() {
        let mut table = Table::default();
        let keys: Vec<Key> = (0..20 * PAGE).map(|value| table.insert(value).unwrap()).collect();
        let (far, others) = keys.split_last().unwrap();
        for key in others {
            table.remove(*key);
        }
        assert_eq!(memory(&table), 2 * PAGE, "its page and the spare one");
        assert_eq!(table.occupied.from(0).collect::<Vec<_>>(), [19], "pages that `next_from` looks at");
        assert_eq!(table.next_from(0), Some((*far, &(20 * PAGE - 1))));
        assert_eq!(table.insert(7).map(|key| key.slot), Ok(0));
        assert_eq!(memory(&table), 2 * PAGE, "the spare one came to use");
    }

    #[test]
    fn new_values_go_to_the_lowest_page_so_that_the_far_end_empties() {
        let mut table = Table::default();
        let mut keys: Vec<Key> = (0..10 * PAGE).map(|value| table.insert(value).unwrap()).collect();
        // Half of them go, and the others one by one while new ones come.
        let old: Vec<Key> = keys.extract_if(.., |key| key.slot % 2 == 0).collect();
        for key in old {
            table.remove(key);
        }
        for key in keys {
            table.remove(key);
            table.insert(0).unwrap();
        }
        assert_eq!(table.len(), 5 * PAGE);
        assert!(memory(&table) <= 7 * PAGE, "{} pages", memory(&table) / PAGE);
    }

    #[test]
    fn waves_leave_one_spare_page_and_use_the_same_slots() {
        let mut table = Table::default();
        for wave in 0..3 {
            let keys: Vec<Key> = (0..10_000).map(|value| table.insert(value).unwrap()).collect();
            assert!(keys.iter().all(|key| key.generation == wave));
            for key in keys {
                table.remove(key);
            }
            assert_eq!((memory(&table), table.pages.len()), (PAGE, 10_000_usize.div_ceil(PAGE)));
            assert_eq!(table.next_from(0), None);
        }
        assert!(table.insert(1).is_ok());
        table.clear();
        assert_eq!(memory(&table), 0);
    }

    #[test]
    fn a_page_of_worn_out_slots_is_passed_over_for_good() {
        let mut table = Table::default();
        table.insert(0).unwrap();
        table.clear();
        table.pages[0].generations = [GENERATIONS - 1; PAGE];
        for wave in 0..2 {
            let keys: Vec<Key> = (0..PAGE + 1).map(|value| table.insert(value).unwrap()).collect();
            assert_eq!(keys[0].slot as usize, wave * PAGE);
            assert_eq!(table.clear().len(), PAGE + 1);
        }
        assert_eq!((table.pages[0].retired, memory(&table)), (PAGE, 0));
    }

    #[test]
    fn only_the_present_tenant_of_a_slot_has_a_key() {
        let mut table = Table::default();
        let key = table.insert_with(0, |key, value| (key, value)).unwrap();
        assert_eq!(table.slot_mut(key.slot), Some(&mut (key, 0)));
        assert_eq!(table.slot_mut(1), None);
        assert_eq!(table.slot_mut(u32::MAX), None);
        assert_eq!(table.remove_present(key), Some((key, 0)));
        assert_eq!(table.slot_mut(key.slot), None);
        assert_eq!(table.get(Key { generation: 1, ..key }), None);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(usize),
        /// So many, from the nth live one on by slot number.
        Remove(usize, usize),
        RemoveDead(usize),
        /// Leaves the slot one more tenant.
        WearOut(u32),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0usize..20).prop_map(Op::Insert),
            2 => (0..3 * PAGE).prop_map(Op::Insert),
            4 => (any::<usize>(), 0usize..20).prop_map(|(nth, count)| Op::Remove(nth, count)),
            2 => (any::<usize>(), 0..3 * PAGE).prop_map(|(nth, count)| Op::Remove(nth, count)),
            2 => any::<usize>().prop_map(Op::RemoveDead),
            2 => (0u32..64).prop_map(Op::WearOut),
            1 => Just(Op::Clear),
        ]
    }

    /// What a `Table` promises, with a map and every key there ever was.
    #[derive(Default)]
    struct Model {
        table: Table<u64>,
        live: HashMap<Key, u64>,
        dead: Vec<Key>,
        values: u64,
    }

    impl Model {
        fn sorted(&self) -> Vec<Key> {
            let mut keys: Vec<Key> = self.live.keys().copied().collect();
            keys.sort_unstable();
            keys
        }

        fn run(&mut self, op: &Op) {
            match op {
                Op::Insert(count) => {
                    for _ in 0..*count {
                        self.values += 1;
                        let key = self.table.insert(self.values).unwrap();
                        assert!(key.generation < GENERATIONS);
                        assert_eq!(self.live.insert(key, self.values), None);
                    }
                }
                Op::Remove(nth, count) => {
                    let keys = self.sorted();
                    for key in keys.iter().skip(nth % keys.len().max(1)).take(*count) {
                        assert_eq!(self.table.remove(*key), self.live.remove(key));
                        self.dead.push(*key);
                    }
                }
                Op::RemoveDead(nth) => {
                    if let Some(key) = self.dead.get(nth % self.dead.len().max(1)) {
                        assert_eq!(self.table.get(*key), None);
                        assert_eq!(self.table.remove(*key), None);
                    }
                }
                Op::WearOut(slot) => {
                    if self.table.slot_mut(*slot).is_none() && self.table.pages.len() > *slot as usize / PAGE {
                        let generation =
                            &mut self.table.pages[*slot as usize / PAGE].generations[*slot as usize % PAGE];
                        *generation = (*generation).max(GENERATIONS - 1);
                    }
                }
                Op::Clear => {
                    let keys = self.sorted();
                    let values: Vec<u64> = keys.iter().map(|key| self.live[key]).collect();
                    assert_eq!(self.table.clear(), values);
                    self.live.clear();
                    self.dead.extend(keys);
                }
            }
        }

        fn check(&mut self) {
            assert_eq!(self.table.len(), self.live.len());
            let mut slot = 0;
            let walk = std::iter::from_fn(|| {
                let (key, value) = self.table.next_from(slot)?;
                slot = key.slot + 1;
                Some((key, *value))
            });
            let walk: Vec<(Key, u64)> = walk.collect();
            assert_eq!(walk, self.sorted().into_iter().map(|key| (key, self.live[&key])).collect::<Vec<_>>());
            for (key, mut value) in walk {
                assert_eq!(self.table.get(key), Some(&value));
                assert_eq!(self.table.slot_mut(key.slot), Some(&mut value));
                assert_eq!(self.table.get_mut(key), Some(&mut value));
            }
            let pages = &self.table.pages;
            assert!(pages.iter().all(|page| page.live > 0 || page.values.capacity() == 0));
            assert!(pages.iter().all(|page| [0, PAGE].contains(&page.values.capacity())));
            assert!([0, PAGE].contains(&self.table.spare.capacity()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_as_a_map_of_keys_that_are_never_used_twice(ops in proptest::collection::vec(op(), 0..40)) {
            let mut model = Model::default();
            for op in &ops {
                model.run(op);
                model.check();
            }
            assert!(model.dead.iter().all(|key| model.table.get(*key).is_none()));
        }
    }
}
