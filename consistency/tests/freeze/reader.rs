//! Readers of volumes that no snapshot is made of.

use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use consistency::StillReader;
use format::raw::RawPath;
use platform::application::FileTree;

/// Reads the number in each volume, slowly, and once more.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) read: Mutex<Vec<i64>>,
}

impl StillReader for Numbers {
    fn read(
        &self,
        volumes: Vec<(RawPath, FileTree)>,
        _: &Arc<AtomicBool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        for _ in 0..2 {
            for (_, tree) in &volumes {
                let number = fs::read_to_string(tree.root.join("n"))?;
                self.read.lock().unwrap().push(number.trim().parse()?);
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

/// Reads until the freeze is over.
#[derive(Debug)]
pub(crate) struct Endless;

impl StillReader for Endless {
    fn read(
        &self,
        _: Vec<(RawPath, FileTree)>,
        abandoned: &Arc<AtomicBool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        while !abandoned.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        Err("it was over".into())
    }
}
