//! An engine that can be taken away: a socket that passes everything on until it is dropped.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A socket that leads to another one; when this is dropped every connection is cut, and nobody
/// listens any more.
#[must_use = "nobody listens when this is dropped"]
#[derive(Debug)]
pub struct Proxy {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    gone: AtomicBool,
    streams: Mutex<Vec<UnixStream>>,
}

impl Proxy {
    /// Listens at `path`, which must be new, for whoever wants to talk to `behind`.
    pub fn start(path: &Path, behind: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a new socket");
        let proxy = Self { path: path.to_owned(), shared: Arc::default() };
        let (shared, behind) = (Arc::clone(&proxy.shared), behind.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.gone.load(Ordering::SeqCst) {
                    return;
                }
                shared.join(&near, &behind).expect("the other socket can be reached");
            }
        });
        proxy
    }
}

impl Shared {
    fn join(&self, near: &UnixStream, behind: &Path) -> io::Result<()> {
        let far = UnixStream::connect(behind)?;
        for (from, to) in [(near, &far), (&far, near)] {
            let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.extend([near.try_clone()?, far]);
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        // The listener wakes up, and sees it.
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        let streams = &self.shared.streams;
        for stream in streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
