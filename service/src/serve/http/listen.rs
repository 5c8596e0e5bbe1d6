//! Where the service listens.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::HttpError;

/// A Unix socket, which goes when this is dropped.
pub(super) struct Socket {
    path: PathBuf,
}

impl Socket {
    /// Listens where nobody else does. What a service that died has left is replaced.
    pub(super) async fn bind(path: PathBuf) -> Result<(Self, UnixListener), HttpError> {
        if UnixStream::connect(&path).await.is_ok() {
            return Err(HttpError::InUse { path });
        }
        match bind(&path) {
            Ok(listener) => Ok((Self { path }, listener)),
            Err(source) => Err(HttpError::Socket { path, source }),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Who finds it knows that nobody listens.
        let _ = fs::remove_file(&self.path);
    }
}

// Nobody else can ever use it: it gets its name when it has its permissions.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Listens on an address.
pub(super) async fn bind_address(address: SocketAddr) -> Result<TcpListener, HttpError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| HttpError::Address { address, source })
}
