//! Values of users' own types, kept with a connection or a worker: one of each type.
//!
//! Invariant: a value is taken out of its bag while user code sees it, so no borrow is alive then; who asks for it
//! meanwhile gets nothing, and a line in the log, never a panic.

use std::any::{Any, TypeId, type_name};

use crate::callback;

/// Values by their type. Few, so they are searched in order.
#[derive(Debug, Default)]
pub(crate) struct Bag(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    kind: TypeId,
    /// `None` while it is lent.
    value: Option<Box<dyn Any>>,
}

/// What has a bag.
pub(crate) trait Holder: Copy {
    /// Lends the bag, unless the holder is gone. The closure runs no user code.
    fn bag<R>(self, f: impl FnOnce(&mut Bag) -> R) -> Option<R>;
}

/// Keeps a value; the one of the same type that was kept before is dropped.
pub(crate) fn set<T: 'static>(holder: impl Holder, value: T) {
    let mut value: Option<Box<dyn Any>> = Some(Box::new(value));
    let old = holder.bag(|bag| match bag.entry(TypeId::of::<T>()) {
        Some(entry) => std::mem::replace(&mut entry.value, value.take()),
        None => {
            bag.0.push(Entry { kind: TypeId::of::<T>(), value: value.take() });
            None
        }
    });
    // The old value, or the new one when the holder is gone.
    drop((old, value));
}

/// A copy of the value of this type.
pub(crate) fn get<T: Clone + 'static>(holder: impl Holder) -> Option<T> {
    with(holder, |value: &mut T| value.clone())
}

/// Removes the value of this type.
pub(crate) fn take<T: 'static>(holder: impl Holder) -> Option<T> {
    let value = holder.bag(|bag| {
        let at = bag.0.iter().position(|entry| entry.kind == TypeId::of::<T>())?;
        // One that is lent comes back to its entry.
        let is_here = bag.0.get(at)?.value.is_some();
        Some(if is_here { bag.0.remove(at).value } else { None })
    });
    found::<T>(value.flatten()?)?.downcast().ok().map(|value| *value)
}

/// Lends the value of this type to a closure.
pub(crate) fn with<T: 'static, R>(holder: impl Holder, f: impl FnOnce(&mut T) -> R) -> Option<R> {
    let value = holder.bag(|bag| Some(bag.entry(TypeId::of::<T>())?.value.take())).flatten()?;
    let value = found::<T>(value);
    let mut lent = Lent { holder, value };
    Some(f(lent.value.as_mut()?.downcast_mut::<T>()?))
}

/// What an entry had, with a line in the log if that was lent.
fn found<T>(value: Option<Box<dyn Any>>) -> Option<Box<dyn Any>> {
    if value.is_none() {
        log::error!("a `{}` is asked for while a `with` on it runs: it is not there now", type_name::<T>());
    }
    value
}

impl Bag {
    /// Drops the values, each on its own: one that panics does not take the next with it.
    pub(crate) fn discard(self) {
        callback::discard_all(self.0);
    }

    fn entry(&mut self, kind: TypeId) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.kind == kind)
    }
}

/// A value on loan; goes back to its bag even when a panic passes.
struct Lent<H: Holder> {
    holder: H,
    value: Option<Box<dyn Any>>,
}

impl<H: Holder> Drop for Lent<H> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else { return };
        let mut value = Some(value);
        self.holder.bag(|bag| {
            // Set anew meanwhile: the newer one stays.
            let kind = value.as_deref().map(Any::type_id);
            if let Some(entry) = kind.and_then(|kind| bag.entry(kind)).filter(|entry| entry.value.is_none()) {
                entry.value = value.take();
            }
        });
        if value.is_some() {
            callback::discard(value);
        }
    }
}
