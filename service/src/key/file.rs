//! Key files on this machine: made for their owner alone, and refused when others can read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use format::slot::{KeyFile, ParseKeyFileError};
use thiserror::Error;
use zeroize::Zeroizing;

/// No key file is longer; what else is named by mistake may be.
const BYTES_MAX: usize = 4 << 10;
/// What its group, and what all others may do with a file.
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

/// Why a key file was not read or made.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// A key file is to be made where there is a file.
    #[error("there is a file `{}` already", .0.display())]
    Exists(PathBuf),
    /// Others than its owner can read it.
    #[error("the key file `{}` can be read by others: its mode is {mode:04o}", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no key file, or a damaged one.
    #[error("`{}` cannot be used as a key file", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: ParseKeyFileError,
    },
    /// The system does not let it be read.
    #[error("cannot read the key file `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not let it be made.
    #[error("cannot make the key file `{}`", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl KeyFileError {
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Exists(_) => "give another path, or use that key with --key-file",
            Self::Exposed { .. } => {
                "`chmod 600` it; if others may have read it, make a new one with `stillpoint key rotate`"
            }
            Self::Unusable { .. } => "give the file that --new-key-file made, or a copy of it",
            Self::Unreadable { .. } => {
                "check the path and the permissions; --new-key-file FILE makes a new one"
            }
            Self::Unwritable { .. } => "give a path in a directory that exists and can be written",
        }
    }
}

/// The key in a file.
pub(super) fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // As ssh does. A file of somebody else, such as root, may be meant for our group: we could not
    // change it.
    let status = file.metadata().map_err(unreadable)?;
    let ours = status.uid() == rustix::process::geteuid().as_raw();
    let refused = if ours { GROUP | OTHERS } else { OTHERS };
    if status.mode() & refused != 0 {
        let mode = status.mode() & 0o7777;
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    // Of one size from the start, because a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(BYTES_MAX));
    file.take(BYTES_MAX as u64).read_to_end(&mut text).map_err(unreadable)?;
    KeyFile::parse(&text).map_err(|source| KeyFileError::Unusable { path: path.to_owned(), source })
}

/// Makes a new file for its owner alone, which outlives a power cut.
pub(super) fn create(path: &Path, key: &KeyFile) -> Result<(), KeyFileError> {
    let unwritable = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => KeyFileError::Unwritable { path: path.to_owned(), source },
    };
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    let written = file.write_all(key.text().as_bytes()).and_then(|()| file.sync_all());
    let written = written.and_then(|()| sync_folder(path));
    written.map_err(|error| {
        // It is of no use to anybody: no slot was made for it.
        let _ = fs::remove_file(path);
        unwritable(error)
    })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_file_is_made_for_its_owner_alone_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = KeyFile::new([7; 32]);
        create(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*read(&path).unwrap().text(), *key.text());
        let again = create(&path, &KeyFile::new([8; 32]));
        assert!(matches!(again, Err(KeyFileError::Exists(_))));
        assert_eq!(*read(&path).unwrap().text(), *key.text());
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, &KeyFile::new([7; 32])).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Exposed { .. }), "{error}");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn what_is_no_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).is_err());
        let zero = read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(zero, KeyFileError::Exposed { .. }), "{zero}");
        let missing = read(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(missing, KeyFileError::Unreadable { .. }), "{missing}");
    }
}
