//! Who had what done, and why.

use std::fs;

use catalog::{Deed, DeedEnd, DeedId, DeedRow};
use repository::error::chain;
use rustix::process::{geteuid, getuid};

use crate::error::ServiceError;
use crate::machine::Machine;
use crate::thaw::settle_first;

/// A deed that was written down, and goes on.
#[derive(Debug)]
pub struct Audited {
    machine: Machine,
    id: DeedId,
}

/// What somebody wants to have done.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What was typed, word by word.
    pub words: Vec<String>,
    /// Where the repository lies, where it is about one.
    pub repository: Option<String>,
    /// Why, where that was said.
    pub reason: Option<String>,
}

impl Machine {
    /// Writes down that the user of this process begins something; before that, what a backup that died has
    /// left frozen is thawed. Where it cannot be written down, a warning says so: what is wanted may be what
    /// mends that.
    pub async fn audit(&self, wanted: Wanted) -> Option<Audited> {
        settle_first(self).await;
        let Wanted { words, repository, reason } = wanted;
        let command =
            shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
        let deed = Deed { moment: self.clock.now(), who: who(), command, repository, reason };
        let written = async {
            let catalog = self.open_catalog().await?;
            let id = catalog.begin_deed(deed).await;
            catalog.close().await;
            Ok::<_, ServiceError>(id?)
        };
        match written.await {
            Ok(id) => Some(Audited { machine: self.clone(), id }),
            Err(error) => {
                tracing::warn!("who does this is not written down: {}", chain(&error));
                None
            }
        }
    }

    /// What people had done last, so much of it, the newest first.
    pub async fn deeds(&self, limit: u32) -> Result<Vec<DeedRow>, ServiceError> {
        let catalog = self.open_catalog().await?;
        let deeds = catalog.deeds(limit).await;
        catalog.close().await;
        Ok(deeds?)
    }
}

impl Audited {
    /// It has ended with this exit code; where it could not be done, because of this.
    pub async fn end(self, exit: u8, error: Option<&ServiceError>) {
        let Self { machine, id } = self;
        let error = error.map(ServiceError::for_the_record);
        let end = DeedEnd { ended: machine.clock.now(), exit, error };
        let written = async {
            let catalog = machine.open_catalog().await?;
            let written = catalog.end_deed(id, end).await;
            catalog.close().await;
            Ok::<_, ServiceError>(written?)
        };
        match written.await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("how this ended is not written down: its beginning is not"),
            Err(error) => tracing::warn!("how this ended is not written down: {}", chain(&error)),
        }
    }
}

// The user who logged in, as the kernel remembers it through `sudo` and `su`; and as whom he does it.
fn who() -> String {
    let (uid, effective) = (getuid().as_raw(), geteuid().as_raw());
    let login = fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|uid| uid.trim().parse().ok()).filter(|uid| *uid != NOBODY);
    let (login, effective) = (login.unwrap_or(uid), name(effective));
    match name(login) {
        login if login == effective => login,
        login => format!("{login} as {effective}"),
    }
}

/// The name of a user, or his number.
pub(crate) fn name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&users, uid).map_or_else(|| format!("uid {uid}"), ToOwned::to_owned)
}

// In a line: the name, a password, the number and more.
fn named(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The login of a process that nobody logged in for.
const NOBODY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_name_or_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nalice:x:1000:1000::/:/bin/sh\n";
        assert_eq!(named(users, 0), Some("root"));
        assert_eq!(named(users, 1000), Some("alice"));
        assert_eq!(named(users, 7), None);
        assert_eq!(name(NOBODY - 5), "uid 4294967290");
    }
}
