//! Where configuration and state lie when nobody says: by the FHS for root, by XDG for others.

use std::path::PathBuf;

/// The configuration file that is read if it exists.
pub(crate) fn config_file() -> PathBuf {
    match own("XDG_CONFIG_HOME", ".config") {
        Some(directory) => directory.join("stillpoint/config.toml"),
        None => "/etc/stillpoint/config.toml".into(),
    }
}

/// The directory of the catalog.
pub(crate) fn state_dir() -> PathBuf {
    match own("XDG_STATE_HOME", ".local/state") {
        Some(directory) => directory.join("stillpoint"),
        None => "/var/lib/stillpoint".into(),
    }
}

/// The directory of what is being frozen; like a freeze, it need not outlive the next start of the
/// machine.
pub(crate) fn runtime_dir() -> PathBuf {
    match own("XDG_RUNTIME_DIR", ".local/state") {
        Some(directory) => directory.join("stillpoint"),
        None => "/run/stillpoint".into(),
    }
}

/// The directory of what can be removed at any time.
pub(crate) fn cache_dir() -> PathBuf {
    match own("XDG_CACHE_HOME", ".cache") {
        Some(directory) => directory.join("stillpoint"),
        None => "/var/cache/stillpoint".into(),
    }
}

#[allow(clippy::disallowed_methods, reason = "the variables of the XDG base directories, and HOME")]
fn own(variable: &str, below_home: &str) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below_home)))
}
