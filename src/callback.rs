//! The one door to user code: callbacks, and the destructors of values that users gave us.
//!
//! Invariants:
//! * no framework borrow is alive while user code runs (asserted in debug builds);
//! * a callback is taken out of its slot while it runs, so it may replace itself; it is put back even when it panics;
//! * a panic or an `Err` is logged with the callback's name and place, and costs one connection, unless the policy says
//!   otherwise;
//! * while one runs, other threads see which.

mod pulse;
mod site;

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};

use crate::error::BoxError;
use crate::shared::borrow_depth;

pub(crate) use pulse::cut;
pub use pulse::{Look, Pulse, last_failure, pulse};
pub use site::Site;

/// What a panic or an `Err` in a callback costs.
///
/// ```
/// use workerman::{PanicPolicy, Worker};
///
/// Worker::set_panic_policy(PanicPolicy::ExitProcess);
/// # Worker::set_panic_policy(PanicPolicy::CloseConnection);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The connection it happened on: an HTTP request without an answer gets a 500, then the connection closes.
    /// The other connections notice nothing. A plain timer goes on.
    #[default]
    CloseConnection,
    /// The process, with exit code 250, as in PHP Workerman. The only one there is under `panic = "abort"`, which
    /// ends the process in its own way.
    ExitProcess,
    /// The caller of `run_all`: a panic goes on unwinding. For tests, where an `assert!` in a callback must be seen.
    Propagate,
}

/// What a callback may return: nothing, anything that `send` and `Timer` answer, or a `Result`.
///
/// An `Err` counts like a panic: see [`PanicPolicy`]. What is inside an `Option` is not looked at.
///
/// ```
/// # use workerman::{Http, Worker};
/// # let worker = Worker::<Http>::new("");
/// worker.on_close(|connection| println!("{} closed", connection.id())); // nothing
/// worker.on_connect(|connection| connection.send_raw("")); // a `SendStatus`
/// worker.on_message(|connection, request| -> workerman::Result<()> {
///     let number: u32 = request.get("n").ok_or("n is missing")?.parse()?;
///     connection.send(number.to_string());
///     Ok(())
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "a callback cannot return `{Self}`",
    note = "it may return `()`, `bool`, an `Option`, a `SendStatus`, a `TimerId` or a `Result`",
    note = "end the callback with `;` to return nothing"
)]
pub trait CallbackResult {
    /// The error, if this is one.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl CallbackResult for () {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// `!`, which stable Rust has no name for.
type Never = <fn() -> ! as never::Returns>::Output;

mod never {
    /// What a function returns.
    pub trait Returns {
        /// Its type.
        type Output;
    }
}

impl<T> never::Returns for fn() -> T {
    type Output = T;
}

/// For callbacks that never return: those that only panic, or end the process.
impl CallbackResult for Never {
    fn into_result(self) -> Result<(), BoxError> {
        self
    }
}

impl CallbackResult for bool {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<T> CallbackResult for Option<T> {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<T, E: Into<BoxError>> CallbackResult for Result<T, E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map(drop).map_err(Into::into)
    }
}

thread_local! {
    static POLICY: Cell<PanicPolicy> = const { Cell::new(PanicPolicy::CloseConnection) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static LAST_WORDS: Cell<fn()> = const { Cell::new(|| {}) };
}

/// Sets what failures cost on this thread.
pub(crate) fn set_policy(policy: PanicPolicy) {
    POLICY.set(policy);
}

/// Has this be called on this thread before a failure ends the process, when [`last_failure`] tells of it.
pub fn set_last_words(say: fn()) {
    LAST_WORDS.set(say);
}

/// Whether this thread is in a callback right now.
#[inline]
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// Runs a callback. `Err` says why it failed; that has been logged, and the process policy applied.
#[inline]
pub(crate) fn call(site: Site, callback: impl FnOnce() -> Result<(), BoxError>) -> Result<(), String> {
    debug_assert_eq!(borrow_depth(), 0, "{site} would run while the framework's state is borrowed");
    let result = {
        let outer = INSIDE.replace(true);
        let _inside = Inside(outer);
        // A destructor inside a callback is a part of that one.
        if !outer {
            pulse::begin(site);
        }
        panic::catch_unwind(AssertUnwindSafe(callback))
    };
    match result {
        Ok(Ok(())) => Ok(()),
        failure => Err(fail(site, failure)),
    }
}

/// Restores the mark even when the panic goes on.
struct Inside(bool);

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// Drops a value whose destructor is user code.
pub(crate) fn discard<T>(value: T) {
    let _ = call(Site::unset("the destructor of a user's value"), || {
        drop(value);
        Ok(())
    });
}

/// Drops several, each on its own: one whose destructor panics does not take the next with it.
pub(crate) fn discard_all<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(discard);
}

#[cold]
fn fail(site: Site, failure: Result<Result<(), BoxError>, Box<dyn Any + Send>>) -> String {
    let reason = match failure {
        Ok(Ok(())) => String::new(),
        Ok(Err(error)) => {
            let text = error_text(error);
            tell(&format!("{site} returned an error: {text}"));
            text
        }
        Err(payload) => {
            let text = panic_text(&*payload);
            tell(&format!("{site} panicked: {text}"));
            if POLICY.get() == PanicPolicy::Propagate {
                panic::resume_unwind(payload);
            }
            give_up(payload);
            text
        }
    };
    if POLICY.get() == PanicPolicy::ExitProcess {
        LAST_WORDS.get()();
        std::process::exit(250);
    }
    reason
}

fn tell(failure: &str) {
    log::error!("{failure}");
    pulse().keep_failure(failure);
}

/// What the error says: its `Display` and its destructor are user code.
fn error_text(error: BoxError) -> String {
    let _inside = Inside(INSIDE.replace(true));
    let mut text = String::new();
    let told = panic::catch_unwind(AssertUnwindSafe(|| {
        let _ = write!(text, "{error}");
        drop(error);
    }));
    if let Err(payload) = told {
        give_up(payload);
    }
    text
}

/// Drops what a panic was raised with: a user's value, whose destructor may panic again. What that one is raised with is
/// worth less than the process.
fn give_up(payload: Box<dyn Any + Send>) {
    let _inside = Inside(INSIDE.replace(true));
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
        .to_owned()
}

/// Where one callback is kept.
pub(crate) struct Slot<F: ?Sized> {
    callback: Cell<Option<Box<F>>>,
    /// Counts what was put in, so that a callback replaced while it ran is not put back.
    version: Cell<u32>,
    site: Cell<Site>,
}

impl<F: ?Sized> Default for Slot<F> {
    fn default() -> Self {
        Self { callback: Cell::new(None), version: Cell::new(0), site: Cell::default() }
    }
}

impl<F: ?Sized> Slot<F> {
    /// Puts a callback in; the one before is dropped, which is user code.
    pub(crate) fn set(&self, site: Site, callback: Box<F>) {
        self.version.set(self.version.get().wrapping_add(1));
        self.site.set(site);
        drop(self.callback.replace(Some(callback)));
    }

    /// Takes the callback away, for good.
    pub(crate) fn clear(&self) {
        self.version.set(self.version.get().wrapping_add(1));
        discard(self.callback.take());
    }

    pub(crate) fn is_set(&self) -> bool {
        let callback = self.callback.take();
        let is_set = callback.is_some();
        self.callback.set(callback);
        is_set
    }

    /// Takes the callback out for a call.
    #[inline]
    pub(crate) fn take(&self) -> Option<Taken<'_, F>> {
        let callback = self.callback.take()?;
        Some(Taken { slot: self, callback: Some(callback), version: self.version.get() })
    }
}

impl<F: ?Sized> fmt::Debug for Slot<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "set" } else { "empty" })
    }
}

/// A callback of a worker itself; its argument is captured.
pub(crate) type WorkerCallback = Slot<dyn FnMut() -> Result<(), BoxError>>;

impl WorkerCallback {
    /// Runs it, if it is set; its failure has been logged.
    pub(crate) fn run(&self) -> Result<(), String> {
        let Some(mut taken) = self.take() else { return Ok(()) };
        call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback()))
    }
}

/// A callback on its way; goes back to its slot when dropped.
pub(crate) struct Taken<'a, F: ?Sized> {
    slot: &'a Slot<F>,
    callback: Option<Box<F>>,
    version: u32,
}

impl<F: ?Sized> Taken<'_, F> {
    /// What it is, and where it was set; to be asked for before it runs, as it may replace itself.
    #[inline]
    pub(crate) fn site(&self) -> Site {
        self.slot.site.get()
    }

    #[inline]
    pub(crate) fn get(&mut self) -> Option<&mut F> {
        self.callback.as_deref_mut()
    }
}

impl<F: ?Sized> Drop for Taken<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.version.get() == self.version {
            self.slot.callback.set(self.callback.take());
        } else {
            discard(self.callback.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_and_the_caller_goes_on() {
        assert_eq!(call(Site::unset("test"), || panic!("boom")), Err("boom".to_owned()));
        assert_eq!(call(Site::unset("test"), || Err("bad".into())), Err("bad".to_owned()));
        assert_eq!(call(Site::unset("test"), || Ok(())), Ok(()));
        assert!(!is_inside());
    }

    #[test]
    fn propagating_leaves_no_mark() {
        set_policy(PanicPolicy::Propagate);
        assert!(panic::catch_unwind(|| call(Site::unset("test"), || panic!("boom"))).is_err());
        assert!(!is_inside());
    }

    #[test]
    fn a_callback_may_replace_itself() {
        let slot: Slot<dyn FnMut() -> u32> = Slot::default();
        slot.set(Site::here("test"), Box::new(|| 1));
        {
            let mut taken = slot.take().unwrap();
            assert!(slot.take().is_none());
            slot.set(Site::here("test"), Box::new(|| 2));
            assert_eq!(taken.get().unwrap()(), 1);
        }
        assert_eq!(slot.take().unwrap().get().unwrap()(), 2);
        assert_eq!(slot.take().unwrap().get().unwrap()(), 2);
    }
}
