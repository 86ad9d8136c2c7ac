//! Going into the background: the app is started once more, in a session of its own, and whoever has started it waits until
//! it serves. So a script knows whether `start -d` was good, and sees why not.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

use super::channel;
use super::command::Command;
use super::image::Images;
use super::messages::{FromDaemon, Kept, Role};
use super::settings::Settings;
use crate::error::{Error, Result};

/// Starts the app in the background, and waits until it serves.
///
/// # Errors
///
/// Why it does not.
pub(super) fn launch<K: Kept>(command: Command, images: &Images) -> Result<()> {
    let control = images.spawn_alike()?;
    channel::give(&control, &Role::<K>::Daemon(command), &[])?;
    match channel::take(&control, |_| 0) {
        Ok((FromDaemon::CameUp, _)) => Ok(()),
        Ok((FromDaemon::Failed(reason), _)) => Err(Error::Processes { reason: reason.into() }.into()),
        Err(error) => {
            log::debug!("nothing comes from the process in the background: {error}");
            Err(Error::Processes { reason: "the process in the background has ended without a word".into() }.into())
        }
    }
}

/// The one in the background, and the one who waits for it.
pub(super) struct Launcher(Rc<UnixStream>);

impl Launcher {
    pub(super) fn new(control: UnixStream) -> Self {
        Self(Rc::new(control))
    }

    /// Leaves the terminal.
    ///
    /// # Errors
    ///
    /// When the output cannot go where the app wants it.
    pub(super) fn detach(&self) -> Result<()> {
        // Whoever leads a session already is as far away from the terminal as can be.
        let _ = rustix::process::setsid();
        let out = Settings::current().stdout_file.unwrap_or_else(|| "/dev/null".into());
        redirect(&out).map_err(|error| {
            let reason = format!("the output cannot go to {}: {error}", out.display());
            Error::Processes { reason: reason.into() }.into()
        })
    }

    /// Says that the app serves.
    pub(super) fn on_up(&self) -> impl FnOnce() + 'static {
        let control = Rc::clone(&self.0);
        move || tell(&control, &FromDaemon::CameUp)
    }

    /// Says why it does not. After it has served nobody listens.
    pub(super) fn ended(&self, reason: String) {
        tell(&self.0, &FromDaemon::Failed(reason));
    }
}

fn redirect(out: &Path) -> io::Result<()> {
    let out = OpenOptions::new().append(true).create(true).open(out)?;
    rustix::stdio::dup2_stdout(&out)?;
    rustix::stdio::dup2_stderr(&out)?;
    Ok(())
}

/// Whoever waited may have been interrupted.
fn tell(control: &UnixStream, message: &FromDaemon) {
    if let Err(error) = channel::give(control, message, &[]) {
        log::debug!("nobody waits for this process: {error}");
    }
}
