//! What an app that runs has on the disk: the pid file, and the control socket beside it.

use std::path::Path;

use super::control::{self, Control};
use super::pid_file::{PidFile, PidFileError};
use super::settings::Settings;

#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) pid_file: Option<PidFile>,
    /// Goes to whoever answers.
    pub(super) control: Option<Control>,
}

impl Files {
    /// Takes the app's place.
    ///
    /// # Errors
    ///
    /// When the app runs already, or the files cannot be where it wants them. Where it has said nothing, it goes without.
    pub(super) fn take() -> Result<Self, PidFileError> {
        let (path, is_wanted) = Settings::current().pid_file_place();
        match PidFile::acquire(&path) {
            Ok(pid_file) => Ok(Self { pid_file: Some(pid_file), control: control_beside(&path) }),
            Err(PidFileError::Running { pid }) => Err(PidFileError::Running { pid }),
            Err(error) if is_wanted => Err(error),
            Err(error) => {
                log::warn!("commands will not find this process: {error}");
                Ok(Self::default())
            }
        }
    }
}

fn control_beside(pid_file: &Path) -> Option<Control> {
    let path = control::path_beside(pid_file);
    match Control::bind(&path) {
        Ok(control) => Some(control),
        Err(error) => {
            log::warn!("no command will be answered, because there is no socket {}: {error}", path.display());
            None
        }
    }
}
