//! Boxes that are used again, so that the usual message costs no allocation and moves as one pointer.
//!
//! Invariants: what lies on a shelf is empty and keeps a bounded amount of room; only a thread with a loop keeps anything,
//! from the loop's beginning to its end, so what is dropped on another thread, wherever it was made, is freed there.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use crate::shared::{Leaked, Shared};

/// Boxes beyond these are freed.
const SHELF_LIMIT: usize = 64;

/// Where a thread keeps empty boxes of one kind.
pub(crate) type Home<T> = LocalKey<Leaked<Shared<Shelf<T>>>>;

thread_local! {
    static KEEPS: Cell<bool> = const { Cell::new(false) };
}

/// Sets whether this thread keeps things for later use.
pub(crate) fn set_keeps(keeps: bool) {
    KEEPS.set(keeps);
}

/// Whether this thread keeps things for later use.
#[inline]
pub(crate) fn keeps() -> bool {
    KEEPS.get()
}

/// Something that can be emptied and used again.
pub(crate) trait Reuse: Default + 'static {
    /// Where empty ones wait.
    const HOME: &'static Home<Self>;

    /// Empties it, but for the room that the next use will want.
    fn clear(&mut self);
}

/// Empty boxes.
#[derive(Debug)]
#[allow(clippy::vec_box)] // the box moves between here and its user, its content stays
pub(crate) struct Shelf<T>(Vec<Box<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A box on loan from the shelf: `None` only while it goes back.
pub(crate) struct Lent<T: Reuse>(Option<Box<T>>);

impl<T: Reuse> Lent<T> {
    /// An empty one.
    #[inline]
    pub(crate) fn take() -> Self {
        Self(Some(with(|shelf: &mut Shelf<T>| shelf.0.pop()).unwrap_or_default()))
    }
}

impl<T: Reuse> Deref for Lent<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(lent) => lent,
            None => unreachable!("what went back is not asked"),
        }
    }
}

impl<T: Reuse> DerefMut for Lent<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(lent) => lent,
            None => unreachable!("what went back is not asked"),
        }
    }
}

impl<T: Reuse> Drop for Lent<T> {
    #[inline]
    fn drop(&mut self) {
        let Some(mut lent) = self.0.take().filter(|_| keeps()) else { return };
        lent.clear();
        with(|shelf| {
            if shelf.0.len() < SHELF_LIMIT {
                shelf.0.push(lent);
            }
        });
    }
}

/// Frees what the thread keeps of a kind.
pub(crate) fn clear<T: Reuse>() {
    with(|shelf: &mut Shelf<T>| *shelf = Shelf::default());
}

#[inline]
fn with<T: Reuse, R>(f: impl FnOnce(&mut Shelf<T>) -> R) -> R {
    T::HOME.with(|shelf| shelf.get().with(f))
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static HOME: Leaked<Shared<Shelf<Words>>> = const { Leaked::new() };
    }

    #[derive(Default)]
    struct Words {
        bytes: Vec<u8>,
    }

    impl Reuse for Words {
        const HOME: &'static Home<Self> = &HOME;

        fn clear(&mut self) {
            self.bytes.clear();
        }
    }

    #[test]
    fn a_box_comes_back_empty_with_its_room() {
        set_keeps(true);
        let mut words: Lent<Words> = Lent::take();
        words.bytes.extend_from_slice(&[1; 1000]);
        drop(words);
        let again: Lent<Words> = Lent::take();
        assert!(again.bytes.is_empty() && again.bytes.capacity() >= 1000);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        set_keeps(true);
        let many: Vec<Lent<Words>> = (0..2 * SHELF_LIMIT).map(|_| Lent::take()).collect();
        drop(many);
        assert_eq!(with(|shelf: &mut Shelf<Words>| shelf.0.len()), SHELF_LIMIT);
        clear::<Words>();
        assert_eq!(with(|shelf: &mut Shelf<Words>| shelf.0.len()), 0);
    }

    #[test]
    fn a_thread_without_a_loop_keeps_nothing() {
        let kept = std::thread::spawn(|| {
            drop(Lent::<Words>::take());
            with(|shelf: &mut Shelf<Words>| shelf.0.len())
        });
        assert_eq!(kept.join().unwrap(), 0);
    }
}
