use super::*;
use proptest::prelude::*;

fn pop_all<T: Copy>(wheel: &mut Wheel<T>) -> Vec<T> {
    std::iter::from_fn(|| wheel.pop_expired().map(|key| wheel.remove(key).unwrap())).collect()
}

#[test]
fn a_timer_expires_at_its_tick_and_not_before() {
    for due in (0..64).flat_map(|bit| [1 << bit, (1 << bit) + 1, u64::MAX >> bit]) {
        let mut wheel = Wheel::default();
        wheel.insert(due, ()).unwrap();
        assert_eq!(wheel.next_due(), Some(due));
        wheel.advance(due - 1);
        assert_eq!((wheel.pop_expired(), wheel.next_due()), (None, Some(due)));
        wheel.advance(due);
        assert_eq!((pop_all(&mut wheel).len(), wheel.next_due()), (1, None));
    }
}

#[test]
fn timers_expire_in_order_of_due_tick_then_of_insertion() {
    let mut wheel = Wheel::default();
    let dues = [70, 5, 1 << 40, 70, 4096, 5, 64, 0, 70];
    for (nth, due) in dues.into_iter().enumerate() {
        wheel.insert(due, (due, nth)).unwrap();
    }
    wheel.advance(u64::MAX);
    let popped = pop_all(&mut wheel);
    assert_eq!(popped.len(), dues.len());
    assert!(popped.is_sorted(), "{popped:?}");
}

#[test]
fn what_comes_too_late_is_still_ordered_by_due_tick() {
    let mut wheel = Wheel::default();
    wheel.advance(100);
    for due in [100, 7, 50, 7, 99, 101] {
        let key = wheel.insert(due, due).unwrap();
        assert_eq!(wheel.due(key), Some(due));
    }
    assert_eq!(wheel.next_due(), Some(7));
    wheel.advance(100);
    assert_eq!(pop_all(&mut wheel), [7, 7, 50, 99, 100]);
    assert_eq!(wheel.next_due(), Some(101));
}

#[test]
fn a_timer_of_zero_ticks_waits_for_the_next_advance() {
    let mut wheel = Wheel::default();
    let key = wheel.insert(10, ()).unwrap();
    for _ in 0..3 {
        wheel.advance(10);
        assert_eq!(wheel.pop_expired(), Some(key));
        assert!(wheel.reschedule(key, 10));
        assert_eq!((wheel.pop_expired(), wheel.next_due()), (None, Some(10)));
    }
}

#[test]
fn a_timer_far_away_wakes_nobody_before() {
    let mut wheel = Wheel::default();
    let far = 3_600_000;
    wheel.insert(far, 0).unwrap();
    for now in (0..far).step_by(777) {
        wheel.advance(now);
        assert_eq!(wheel.next_due(), Some(far));
    }
    wheel.advance(far);
    assert_eq!(pop_all(&mut wheel), [0]);
}

#[test]
fn a_removed_minimum_wakes_early_at_most_once() {
    let mut wheel = Wheel::default();
    let first = wheel.insert(5_000, 0).unwrap();
    wheel.insert(6_000, 1).unwrap();
    wheel.remove(first);
    assert_eq!(wheel.next_due(), Some(5_000));
    wheel.advance(5_000);
    assert_eq!((wheel.pop_expired(), wheel.next_due()), (None, Some(6_000)));
}

#[test]
fn removing_the_last_of_a_slot_leaves_nothing_to_wake_for() {
    let mut wheel = Wheel::default();
    let key = wheel.insert(5_000, 0).unwrap();
    assert_eq!(wheel.remove(key), Some(0));
    assert_eq!((wheel.next_due(), wheel.len()), (None, 0));
    assert_eq!(wheel.insert(1, 1).unwrap().slot, key.slot);
    assert_eq!((wheel.remove(key), wheel.due(key), wheel.reschedule(key, 2)), (None, None, false));
    assert_eq!(wheel.get_mut(key), None);
}

#[test]
fn waiting_expired_and_popped_timers_can_be_removed_and_rescheduled() {
    let mut wheel = Wheel::default();
    let keys: Vec<Key> = (0..6).map(|nth| wheel.insert(3, nth).unwrap()).collect();
    assert_eq!(wheel.remove(keys[0]), Some(0));
    assert!(wheel.reschedule(keys[1], 4));
    wheel.advance(3);
    assert_eq!(wheel.pop_expired(), Some(keys[2]));
    assert_eq!(wheel.remove(keys[3]), Some(3));
    assert!(wheel.reschedule(keys[4], 5));
    assert_eq!(wheel.pop_expired(), Some(keys[5]));
    assert_eq!((wheel.pop_expired(), wheel.remove(keys[5])), (None, Some(5)));
    assert!(wheel.reschedule(keys[2], 9));
    *wheel.get_mut(keys[2]).unwrap() = 20;
    wheel.advance(9);
    assert_eq!(pop_all(&mut wheel), [1, 4, 20]);
}

#[test]
fn dead_keys_do_not_pile_up_behind_a_timer_that_stays() {
    let mut wheel = Wheel::default();
    let stays = [0, 1, 2].map(|nth| wheel.insert(3_600_000, nth).unwrap());
    for nth in 3..10_000 {
        let key = wheel.insert(3_600_000, nth).unwrap();
        assert_eq!(wheel.remove(key), Some(nth));
        let listed: usize = wheel.slots.iter().map(|list| list.keys.capacity()).sum();
        assert!(listed <= 32, "room for {listed} keys of {} timers", stays.len());
    }
    wheel.advance(3_600_000);
    assert_eq!(pop_all(&mut wheel), [0, 1, 2]);
}

#[test]
fn clearing_takes_everything_out_but_keeps_the_time() {
    let mut wheel = Wheel::default();
    let keys: Vec<Key> = [5, 6, 1 << 50].map(|due| wheel.insert(due, due).unwrap()).into();
    wheel.advance(6);
    wheel.pop_expired();
    assert_eq!(wheel.clear(), [5, 6, 1 << 50]);
    assert_eq!((wheel.len(), wheel.next_due(), wheel.pop_expired()), (0, None, None));
    let new = wheel.insert(2, 2).unwrap();
    assert!(keys.iter().all(|old| *old != new && wheel.due(*old).is_none()));
    wheel.advance(6);
    assert_eq!(pop_all(&mut wheel), [2]);
}

#[test]
fn a_timer_of_32_bytes_fits_into_64() {
    /// As `slab` and `Table` store it, without the 4 bytes of a generation and the key in a list.
    #[allow(dead_code)]
    enum InTable<T> {
        Vacant(usize),
        Occupied(Option<T>),
    }
    assert!(size_of::<InTable<Entry<[u64; 4]>>>() + size_of::<u32>() + size_of::<Key>() <= 64);
}

impl<T> Wheel<T> {
    /// Every live entry is named once, by the list of its place, and no minimum is too late.
    fn check(&self) {
        let mut named = 0;
        for (list, index) in self.slots.iter().zip(0_u16..) {
            let live: Vec<_> = list.keys.iter().filter_map(|key| self.table.get(*key)).collect();
            for entry in &live {
                assert!(entry.due >= list.min);
                assert_eq!((entry.place, index), (Place::Slot(index), self.index(entry.due)));
            }
            assert_eq!((list.live, list.live == 0), (live.len(), list.keys.is_empty()));
            assert!(list.keys.len() <= 3 * list.live + FEW_DEAD);
            let bit = self.occupied[usize::from(index / SLOTS)] >> (index % SLOTS) & 1;
            assert_eq!(bit == 1, list.live > 0);
            named += live.len();
        }
        let expired: Vec<_> = self.expired.iter().filter_map(|key| self.table.get(*key)).collect();
        assert!(expired.iter().all(|entry| entry.place == Place::Expired));
        let mut parked = 0;
        let mut slot = 0;
        while let Some((key, entry)) = self.table.next_from(slot) {
            parked += usize::from(entry.place == Place::Parked);
            slot = key.slot + 1;
        }
        assert_eq!(named + expired.len() + parked, self.table.len());
    }
}

#[derive(Clone, Debug)]
enum When {
    /// So many ticks after the present one; an overflow makes it a late one.
    After(u64),
    /// That tick, which may be long past.
    At(u64),
    Before(u64),
    /// With another timer.
    Like(usize),
}

#[derive(Clone, Debug)]
enum Op {
    Insert(When),
    Remove(usize),
    Reschedule(usize, When),
    Advance(u64),
    AdvanceToNext,
    /// Pops one, and removes, reschedules or parks it.
    Pop(u8, When),
}

fn magnitude() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift)
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => magnitude().prop_map(When::After),
        4 => (0u64..10_000).prop_map(When::After),
        1 => magnitude().prop_map(When::At),
        2 => (0u64..100).prop_map(When::Before),
        2 => any::<usize>().prop_map(When::Like),
    ]
}

fn op(removals: bool) -> impl Strategy<Value = Op> {
    let removals = u32::from(removals);
    prop_oneof![
        8 => when().prop_map(Op::Insert),
        3 * removals => any::<usize>().prop_map(Op::Remove),
        3 * removals => (any::<usize>(), when()).prop_map(|(nth, when)| Op::Reschedule(nth, when)),
        2 => (0u64..5_000).prop_map(Op::Advance),
        1 => (0u64..1 << 20).prop_map(Op::Advance),
        1 => (0u64..1 << 40).prop_map(Op::Advance),
        4 => Just(Op::AdvanceToNext),
        6 => (0u8..4, when()).prop_map(|(what, when)| Op::Pop(what, when)),
    ]
}

/// What a `Wheel` promises, by walking over everything.
#[derive(Default)]
struct Model {
    wheel: Wheel<u64>,
    now: u64,
    /// Grows with every insertion and rescheduling.
    order: u64,
    /// (due, order, key), as are the expired ones.
    waiting: Vec<(u64, u64, Key)>,
    expired: Vec<(u64, u64, Key)>,
    parked: Vec<Key>,
    /// How many early wake-ups are allowed: one for each that was taken away while waiting.
    early: usize,
}

impl Model {
    fn due(&self, when: &When) -> u64 {
        match when {
            When::After(ticks) => self.now.wrapping_add(*ticks),
            When::At(tick) => *tick,
            When::Before(ticks) => self.now.saturating_sub(*ticks),
            When::Like(nth) => self.waiting.get(nth % self.waiting.len().max(1)).map_or(self.now, |(due, ..)| *due),
        }
    }

    fn any(&self, nth: usize) -> Option<Key> {
        let lists = self.waiting.iter().chain(&self.expired).map(|(.., key)| key);
        let keys: Vec<&Key> = lists.chain(&self.parked).collect();
        keys.get(nth % keys.len().max(1)).map(|key| **key)
    }

    fn forget(&mut self, key: Key) {
        self.early += self.waiting.extract_if(.., |(.., k)| *k == key).count();
        self.expired.retain(|(.., k)| *k != key);
        self.parked.retain(|k| *k != key);
    }

    fn wait(&mut self, due: u64, key: Key) {
        self.order += 1;
        self.waiting.push((due, self.order, key));
    }

    fn remove(&mut self, key: Key) {
        assert!(self.wheel.remove(key).is_some());
        assert!(self.wheel.remove(key).is_none());
        self.forget(key);
    }

    fn reschedule(&mut self, key: Key, due: u64) {
        assert!(self.wheel.reschedule(key, due));
        self.forget(key);
        self.wait(due, key);
    }

    fn advance(&mut self, now: u64) {
        self.now = now;
        self.wheel.advance(now);
        let mut due: Vec<_> = self.waiting.extract_if(.., |(due, ..)| *due <= now).collect();
        due.sort_unstable();
        self.expired.extend(due);
    }

    fn advance_to_next(&mut self) {
        let Some(next) = self.wheel.next_due() else { return };
        let expired = self.expired.len();
        self.advance(next.max(self.now));
        if self.expired.len() == expired {
            self.early = self.early.checked_sub(1).expect("woken early without a reason");
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Insert(when) => {
                let due = self.due(when);
                let key = self.wheel.insert(due, due).unwrap();
                self.wait(due, key);
            }
            Op::Remove(nth) => {
                if let Some(key) = self.any(*nth) {
                    self.remove(key);
                }
            }
            Op::Reschedule(nth, when) => {
                if let Some(key) = self.any(*nth) {
                    self.reschedule(key, self.due(when));
                }
            }
            Op::Advance(ticks) => self.advance(self.now.saturating_add(*ticks)),
            Op::AdvanceToNext => self.advance_to_next(),
            Op::Pop(what, when) => {
                let key = self.wheel.pop_expired();
                assert_eq!(key, self.expired.first().map(|(.., key)| *key));
                if let Some(key) = key {
                    self.forget(key);
                    self.parked.push(key);
                    match what {
                        0 => self.reschedule(key, self.due(when)),
                        1 => {}
                        _ => self.remove(key),
                    }
                }
            }
        }
    }

    fn check(&self, exact: bool) {
        self.wheel.check();
        assert_eq!(self.wheel.len(), self.waiting.len() + self.expired.len() + self.parked.len());
        assert!(self.waiting.iter().all(|(due, _, key)| self.wheel.due(*key) == Some(*due)));
        let (next, least) = (self.wheel.next_due(), self.waiting.iter().map(|(due, ..)| *due).min());
        assert_eq!(next.is_some(), least.is_some());
        assert!(next <= least, "{next:?} is later than {least:?}");
        assert!(!exact || next == least, "{next:?} is not {least:?}");
    }
}

fn behaves(ops: &[Op], exact: bool) {
    let mut model = Model::default();
    for op in ops {
        model.run(op);
        model.check(exact);
    }
    while model.wheel.next_due().is_some() {
        model.advance_to_next();
        model.check(exact);
    }
    while !model.expired.is_empty() {
        model.run(&Op::Pop(2, When::At(0)));
    }
    assert_eq!(model.wheel.pop_expired(), None);
}

proptest! {
    #[test]
    fn without_removals_nobody_is_ever_woken_early(ops in proptest::collection::vec(op(false), 0..200)) {
        behaves(&ops, true);
    }

    #[test]
    fn with_removals_each_early_wake_up_has_its_own_reason(ops in proptest::collection::vec(op(true), 0..200)) {
        behaves(&ops, false);
    }
}
