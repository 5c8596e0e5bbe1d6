//! Directories removed with all that is in them.

use std::io;

use rustix::fs::fstat;

use super::directory::Dir;

impl Dir {
    /// Removes whatever has this name, a directory with all that is in it; links are not followed.
    ///
    /// However deep it is: neither the stack nor the number of open files grows with that.
    pub fn remove_all(&self, name: &[u8]) -> io::Result<()> {
        match self.remove_file(name) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
            removed => return removed,
        }
        let (mut here, top) = self.enter(name)?;
        let mut stack = vec![top];
        while let Some(level) = stack.last_mut() {
            if let Some(name) = here.clear_to_directory(&mut level.names)? {
                let (below, level) = here.enter(&name)?;
                here = below;
                stack.push(level);
            } else {
                here = here.leave(level)?;
                stack.pop();
            }
        }
        Ok(())
    }

    fn enter(&self, name: &[u8]) -> io::Result<(Self, Level)> {
        let dir = self.open_dir(name)?;
        let names = dir.names()?.into_iter();
        Ok((dir, Level { above: identity(self)?, name: name.to_vec(), names }))
    }

    // Removes files up to the next directory that is not empty.
    fn clear_to_directory(
        &self,
        names: &mut std::vec::IntoIter<Vec<u8>>,
    ) -> io::Result<Option<Vec<u8>>> {
        for name in names {
            match self.remove_file(&name) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                removed => {
                    removed?;
                    continue;
                }
            }
            match self.remove_dir(&name) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    return Ok(Some(name));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(None)
    }

    // Back to the directory above this one, which is empty by now, and removed from there.
    fn leave(&self, level: &Level) -> io::Result<Self> {
        let above = self.above()?;
        if identity(&above)? != level.above {
            return Err(io::Error::other("it was moved while it was removed"));
        }
        above.remove_dir(&level.name)?;
        Ok(above)
    }
}

struct Level {
    /// Device and number of the directory above.
    above: (u64, u64),
    /// The name of this one there.
    name: Vec<u8>,
    /// What is left of it.
    names: std::vec::IntoIter<Vec<u8>>,
}

fn identity(dir: &Dir) -> io::Result<(u64, u64)> {
    let found = fstat(dir)?;
    Ok((found.st_dev, found.st_ino))
}
