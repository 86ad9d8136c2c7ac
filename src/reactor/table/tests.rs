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
                    let generation = &mut self.table.pages[*slot as usize / PAGE].generations[*slot as usize % PAGE];
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
