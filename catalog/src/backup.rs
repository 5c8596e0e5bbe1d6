//! Copies of the catalog, for the day that its file is damaged.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use sqlx::{ConnectOptions, Connection};

use crate::Catalog;
use crate::error::CatalogError;
use crate::inspect::Condition;
use crate::open::{create, options};

impl Catalog {
    /// Copies the whole catalog, as it is at one moment, to a new file; one that is there is replaced.
    /// Others may go on writing meanwhile. Once this is answered the copy is on the disk, and all of it was
    /// read.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] when something cannot be read; the file that was there stays.
    pub async fn back_up(&self, to: &Path) -> Result<(), CatalogError> {
        let mut new = to.as_os_str().to_owned();
        new.push(".new");
        let new = Path::new(&new);
        let failed = |source| CatalogError::NotCreated { path: to.to_owned(), source };
        remove(new).map_err(failed)?;
        // Before the database makes it with the rights that others have by default.
        create(new).map_err(failed)?;
        let copied = self.copy(new).await;
        if copied.is_err() {
            // It is of no use; and the error says more than one about its removal would.
            let _ = remove(new);
        }
        copied?;
        settle(new, to).map_err(failed)
    }

    async fn copy(&self, to: &Path) -> Result<(), CatalogError> {
        let copy = async {
            // One of its own: it may take longer than others want to wait for a reader.
            let mut connection = options(&self.path).read_only(true).connect().await?;
            let target = to.to_string_lossy();
            sqlx::query("VACUUM INTO ?").bind(target.as_ref()).execute(&mut connection).await?;
            connection.close().await
        };
        copy.await.map_err(|source| self.failed("copy itself", source))?;
        match Condition::of(to).await? {
            Condition::Sound => Ok(()),
            Condition::Absent => Err(self.damaged("its copy is empty".to_owned())),
            Condition::Damaged { reason } => Err(self.damaged(reason)),
        }
    }

    fn damaged(&self, reason: String) -> CatalogError {
        CatalogError::Damaged { path: self.path.clone(), source: reason.into() }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

// Onto the disk, and then under its name.
fn settle(new: &Path, to: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    fs::rename(new, to)?;
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
