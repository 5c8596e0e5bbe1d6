//! Why the service cannot be asked.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why the service cannot listen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Somebody else listens on its socket.
    #[error("another process listens on `{}`", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on `{}`", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate, or no key to it.
    #[error(
        "cannot listen with the certificate `{}` and the key `{}`",
        certificate.display(),
        key.display()
    )]
    Tls {
        /// The chain of certificates.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

impl HttpError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "stop it, or give this service a directory with --runtime-dir",
            Self::Socket { .. } => {
                "give a directory of yours with --runtime-dir; its path must be short"
            }
            Self::Address { .. } => "choose another one for `listen`",
            Self::Tls { .. } => "give PEM files that belong together in `[api]`",
        }
    }
}
