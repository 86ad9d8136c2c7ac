//! The two cells that hold the framework's state of a thread.
//!
//! [`Shared`] is the only way to borrow it, for the length of a closure, and counts how many such borrows are alive;
//! `callback.rs` asserts that there are none while user code runs. [`Leaked`] makes the state outlive every destructor
//! of its thread, so that a user's `Drop` may call the framework at any time.

use std::cell::{Cell, RefCell};

/// A `RefCell` that lends itself to a closure only.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(RefCell<T>);

impl<T> Shared<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Lends the value. The closure must not run user code: not a callback, not a destructor of a user's value.
    #[inline]
    #[allow(clippy::disallowed_methods)] // the one home of `borrow_mut`
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _depth = Depth::enter();
        f(&mut self.0.borrow_mut())
    }
}

/// How many [`Shared`] values this thread has lent out. Always 0 in release builds.
pub(crate) fn borrow_depth() -> usize {
    #[cfg(debug_assertions)]
    return DEPTH.get();
    #[cfg(not(debug_assertions))]
    0
}

#[cfg(debug_assertions)]
thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

struct Depth;

impl Depth {
    #[inline]
    fn enter() -> Self {
        #[cfg(debug_assertions)]
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Depth {
    #[inline]
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// A thread-local value that is made at first use and never dropped. What it owns must be small, or be emptied by
/// whoever filled it: no descriptor may stay in it.
#[derive(Debug)]
pub(crate) struct Leaked<T: 'static>(Cell<Option<&'static T>>);

impl<T: Default + 'static> Leaked<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    #[inline]
    pub(crate) fn get(&self) -> &'static T {
        match self.0.get() {
            Some(value) => value,
            None => self.make(),
        }
    }

    #[cold]
    fn make(&self) -> &'static T {
        let value: &'static T = Box::leak(Box::default());
        self.0.set(Some(value));
        value
    }
}
