//! A directory with the programs that are measured, where a user without rights can reach them:
//! the home of root, where cargo installs, is closed to others.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::options::Options;
use crate::table;

/// The directory; gone when dropped.
pub(crate) struct Stage {
    directory: PathBuf,
}

impl Stage {
    /// Copies what is there of: this program, portolan, rustscan, and the script.
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot set up {}: {error}", directory().display());
        let stage = Self {
            directory: directory(),
        };
        fs::create_dir(&stage.directory).map_err(failed)?;
        fs::set_permissions(&stage.directory, Permissions::from_mode(0o755)).map_err(failed)?;
        let ourselves = std::env::current_exe().map_err(failed)?;
        let portolan = options
            .portolan
            .clone()
            .unwrap_or_else(|| ourselves.with_file_name("portolan"));
        let mut programs = vec![("portolan-bench", ourselves), ("portolan", portolan)];
        programs.extend(on_path("rustscan").map(|path| ("rustscan", path)));
        for (name, source) in programs {
            let target = stage.directory.join(name);
            match fs::copy(&source, &target) {
                Ok(_) => fs::set_permissions(&target, Permissions::from_mode(0o755)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    table::complain(&format!("left out: there is no {}", source.display()));
                    Ok(())
                }
                Err(error) => Err(error),
            }
            .map_err(failed)?;
        }
        let script = stage.directory.join("pool.py");
        fs::write(&script, include_str!("../pool.py")).map_err(failed)?;
        fs::set_permissions(&script, Permissions::from_mode(0o644)).map_err(failed)?;
        Ok(stage)
    }

    /// A directory with nothing in it.
    pub(crate) fn empty() -> Result<Self, String> {
        let stage = Self {
            directory: directory(),
        };
        fs::create_dir(&stage.directory)
            .map_err(|error| format!("cannot set up {}: {error}", directory().display()))?;
        Ok(stage)
    }

    /// Where a program of that name was put, if there was one.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.directory.join(name);
        path.is_file().then_some(path)
    }

    /// The directory itself: the home of what is measured.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        remove();
    }
}

/// Removes the directory of this process, if there is one.
pub(crate) fn remove() {
    let _ = fs::remove_dir_all(directory());
}

/// A program of the machine.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("portolan-bench-{}", std::process::id()))
}
