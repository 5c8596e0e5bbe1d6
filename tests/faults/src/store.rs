//! A store that fails when it is told to.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use format::names::{Folder, ObjectName};
use repository::store::{Listed, MaintainStore, ReadStore, Store, StoreError};
use tokio::sync::Notify;

use crate::fault::{Fault, Operation};

/// How long a request waits that nobody answers.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Which operations fail, and how: those with these numbers among the ones that the fault applies
/// to, counted from 0.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What goes wrong.
    pub fault: Fault,
    /// When.
    pub at: Range<u64>,
}

/// A store that hands everything on to another one, except what its plan says.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn MaintainStore>,
    state: Mutex<State>,
    died: Notify,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    /// How many operations there were that the fault applies to.
    seen: u64,
    /// What was hit.
    struck: Vec<String>,
    dead: bool,
    /// What was created, the last at the end.
    created: Vec<ObjectName>,
}

impl FaultyStore {
    /// A store that fails by `plan`.
    pub fn new(inner: Arc<dyn MaintainStore>, plan: Option<Plan>) -> Arc<Self> {
        let state = Mutex::new(State { plan, ..State::default() });
        Arc::new(Self { inner, state, died: Notify::new() })
    }

    /// The operations that failed so far.
    pub fn struck(&self) -> Vec<String> {
        self.state.lock().unwrap().struck.clone()
    }

    /// Waits until the process is to die. What calls the store from then on gets nowhere.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    // Whether this operation fails.
    fn next(&self, operation: Operation, what: &str) -> Result<Option<Fault>, StoreError> {
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return Err(self.failed(what, false));
        }
        let Some(plan) = state.plan.clone() else { return Ok(None) };
        if !plan.fault.applies_to(operation) {
            return Ok(None);
        }
        let number = state.seen;
        state.seen += 1;
        if !plan.at.contains(&number) {
            return Ok(None);
        }
        state.struck.push(format!("{:?} {number}: {what}", plan.fault));
        Ok(Some(plan.fault))
    }

    fn failed(&self, what: &str, passing: bool) -> StoreError {
        StoreError::Failed {
            action: what.to_owned(),
            location: self.inner.location(),
            passing,
            source: "a fault on purpose".into(),
        }
    }

    // Faults that come to the same whatever is asked for; true when the work is to be done first.
    async fn fail(&self, fault: Fault, what: &str) -> StoreError {
        match fault {
            Fault::Timeout | Fault::LateTimeout => tokio::time::sleep(TIMEOUT).await,
            Fault::Kill | Fault::KillAfter => {
                self.state.lock().unwrap().dead = true;
                self.died.notify_one();
            }
            _ => {}
        }
        self.failed(what, !matches!(fault, Fault::Before | Fault::Kill | Fault::KillAfter))
    }

    fn reply(fault: Option<Fault>, bytes: Bytes) -> Bytes {
        match fault {
            Some(Fault::ShortGet) => bytes.slice(..bytes.len() / 2),
            Some(Fault::FlippedBit) => {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 4);
                bytes.into()
            }
            _ => bytes,
        }
    }
}

#[async_trait]
impl ReadStore for FaultyStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let what = format!("read {name}");
        let fault = self.next(Operation::Get, &what)?;
        match fault {
            None | Some(Fault::ShortGet | Fault::FlippedBit) => {
                Ok(Self::reply(fault, self.inner.get(name).await?))
            }
            Some(fault) => Err(self.fail(fault, &what).await),
        }
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let what = format!("read {name} {range:?}");
        let fault = self.next(Operation::GetRange, &what)?;
        match fault {
            None | Some(Fault::ShortGet | Fault::FlippedBit) => {
                Ok(Self::reply(fault, self.inner.get_range(name, range).await?))
            }
            Some(Fault::WrongRange) => {
                // As long as what was asked for, from the beginning of the object.
                let mut bytes = self.inner.get(name).await?.to_vec();
                bytes.resize(usize::try_from(range.end - range.start).unwrap(), 0);
                Ok(bytes.into())
            }
            Some(fault) => Err(self.fail(fault, &what).await),
        }
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let what = format!("list {}", folder.as_str());
        let Some(fault) = self.next(Operation::List, &what)? else {
            return self.inner.list(folder).await;
        };
        let mut listed = match fault {
            Fault::StaleList | Fault::DroppedPage | Fault::RepeatedPage => {
                self.inner.list(folder).await?
            }
            fault => return Err(self.fail(fault, &what).await),
        };
        listed.sort_unstable();
        let half = listed.len() / 2;
        match fault {
            Fault::StaleList => {
                let state = self.state.lock().unwrap();
                let in_it = |name: &&ObjectName| listed.iter().any(|l| l.name == **name);
                let newest = state.created.iter().rev().find(in_it).copied();
                listed.retain(|listed| Some(listed.name) != newest);
            }
            Fault::DroppedPage => listed.truncate(half),
            _ => listed.extend_from_within(..half),
        }
        Ok(listed)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let what = format!("create {name}");
        let fault = self.next(Operation::Create, &what)?;
        let exists = || StoreError::Exists { name, location: self.inner.location() };
        let stored = match fault {
            Some(Fault::Conflict) => return Err(exists()),
            // No store of ours leaves half of a small object; half of a large one is likelier.
            Some(Fault::TornPut) if matches!(name, ObjectName::Pack(_)) => {
                bytes.slice(..bytes.len() / 2)
            }
            None | Some(Fault::After | Fault::LateTimeout | Fault::OwnWrite | Fault::KillAfter) => {
                bytes
            }
            Some(fault) => return Err(self.fail(fault, &what).await),
        };
        self.inner.create(name, stored).await?;
        self.state.lock().unwrap().created.push(name);
        match fault {
            None => Ok(()),
            Some(Fault::OwnWrite) => Err(exists()),
            Some(fault) => Err(self.fail(fault, &what).await),
        }
    }
}

#[async_trait]
impl MaintainStore for FaultyStore {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        let what = format!("delete {name}");
        match self.next(Operation::Delete, &what)? {
            None => self.inner.delete(name).await,
            Some(fault @ (Fault::After | Fault::LateTimeout | Fault::KillAfter)) => {
                self.inner.delete(name).await?;
                Err(self.fail(fault, &what).await)
            }
            Some(fault) => Err(self.fail(fault, &what).await),
        }
    }
}
