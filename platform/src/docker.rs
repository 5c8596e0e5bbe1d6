//! Docker: applications are Compose projects, and containers with the label `stillpoint.app`.

mod container;
mod definition;
mod driver_label;
mod engine;
mod freezer_label;
mod place;
mod session;
mod volumes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bollard::models::ContainerInspectResponse;
use futures::{StreamExt, TryStreamExt, stream};

use self::container::{Container, member_names};
use self::definition::Inventory;
use self::engine::Engine;
use self::freezer_label::by_engine;
use self::session::ContainerSession;
use self::volumes::{Sorted, Surroundings, volumes};
use crate::Platform;
use crate::application::{Activity, Application, EnginePause, FreezeTarget, Member};
use crate::cgroup::{Hierarchies, Memberships, of_container};
use crate::error::PlatformError;
use crate::files::mounts::MountTable;
use crate::kernel;
use crate::session::{Command, Session, Standing};

/// The applications of the Docker engine on this host.
#[derive(Clone, Debug)]
pub struct Docker {
    engine: Engine,
}

impl Docker {
    /// Connects to the engine, by default at `unix:///var/run/docker.sock`.
    ///
    /// Only sockets of this host will do, for the containers' files and cgroups must be at hand.
    pub async fn connect(host: Option<&str>) -> Result<Self, PlatformError> {
        Ok(Self { engine: Engine::connect(host.unwrap_or(DEFAULT_SOCKET)).await? })
    }

    async fn containers(&self) -> Result<Vec<Found>, PlatformError> {
        let ids = self.engine.container_ids().await?;
        let mut found: Vec<Found> = stream::iter(ids)
            .map(|id| async move { self.engine.container(&id).await })
            .buffered(QUESTIONS_AT_ONCE)
            .try_filter_map(|answer| async move { Ok(answer.map(Found::new)) })
            .try_collect()
            .await?;
        found.sort_by(|a, b| a.container.name.cmp(&b.container.name));
        Ok(found)
    }

    // All applications, or the one of that name if there is one.
    async fn examine(&self, only: Option<&str>) -> Result<Vec<Application>, PlatformError> {
        let found = self.containers().await?;
        let mut groups: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
        for found in &found {
            if let Some(name) = found.container.application()
                && only.is_none_or(|only| only == name)
            {
                groups.entry(name).or_default().push(found);
            }
        }
        let used = groups.values().flatten().map(|found| &found.container);
        let inventory = Inventory::fetch(&self.engine, used).await?;
        let data_root = self.engine.data_root().await?;
        let host = HostView::take(&self.engine)?;
        let ours = found.iter().find(|found| host.is_in(&found.container));
        let visible = ours.map(|found| found.container.visible());
        let mut applications = Vec::new();
        for (name, group) in groups {
            let outside = |found: &&Found| {
                let is_ours = found.container.is_service() || host.is_in(&found.container);
                found.container.application() != Some(name) && !is_ours
            };
            let surroundings = Surroundings {
                mounts: host.mounts.clone(),
                data_root: data_root.as_ref().and_then(|root| Path::new(root).canonicalize().ok()),
                mounted_on_use: inventory.mounted_on_use.clone(),
                visible: visible.clone(),
                outsiders: found.iter().filter(outside).map(|f| f.container.clone()).collect(),
            };
            applications.push(assemble(name, &group, &inventory, (&surroundings, &host))?);
        }
        Ok(applications)
    }
}

#[async_trait]
impl Platform for Docker {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn applications(&self) -> Result<Vec<Application>, PlatformError> {
        self.examine(None).await
    }

    async fn application(&self, name: &str) -> Result<Application, PlatformError> {
        let unknown =
            || PlatformError::UnknownApplication { platform: PLATFORM, name: name.to_owned() };
        self.examine(Some(name)).await?.pop().ok_or_else(unknown)
    }

    fn address(&self) -> &str {
        self.engine.address()
    }

    async fn standing(&self, container: &str) -> Result<Standing, PlatformError> {
        let Some(answer) = self.engine.container(container).await? else {
            return Ok(Standing::Gone);
        };
        let member =
            HostView::take(&self.engine)?.member(String::new(), Container::new(&answer))?;
        Ok(match member.activity {
            Activity::Running => Standing::Runs,
            Activity::Paused | Activity::Stopped => Standing::Waits,
        })
    }

    async fn command(
        &self,
        container: &str,
        command: &Command,
    ) -> Result<Box<dyn Session>, PlatformError> {
        Ok(Box::new(ContainerSession::start(&self.engine, container, command).await?))
    }
}

/// The name of this platform.
pub const PLATFORM: &str = "docker";
/// Where the engine listens, usually.
pub const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

// The engine answers each in a few milliseconds and serves them side by side.
const QUESTIONS_AT_ONCE: usize = 8;

struct Found {
    container: Container,
    answer: ContainerInspectResponse,
}

impl Found {
    fn new(answer: ContainerInspectResponse) -> Self {
        Self { container: Container::new(&answer), answer }
    }
}

fn assemble(
    name: &str,
    group: &[&Found],
    inventory: &Inventory,
    (surroundings, host): (&Surroundings, &HostView),
) -> Result<Application, PlatformError> {
    let containers: Vec<Container> = group.iter().map(|found| found.container.clone()).collect();
    let described: Vec<_> = group.iter().map(|f| (&f.container, &f.answer)).collect();
    let mut named: Vec<(String, Container)> =
        member_names(&containers).into_iter().zip(containers).collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    let Sorted { volumes, left_out, missing, mut mistakes } = volumes(&named, surroundings);
    let wrong = named.iter().filter_map(|(member, container)| {
        Some(format!("container `{member}`: {}", by_engine(container).err()?))
    });
    mistakes.extend(wrong);
    let members = named.into_iter().map(|(name, container)| host.member(name, container));
    Ok(Application {
        name: name.to_owned(),
        platform: PLATFORM,
        members: members.collect::<Result<_, _>>()?,
        volumes,
        left_out,
        missing,
        mistakes,
        definition: inventory.definition(&described),
    })
}

/// What this host looks like to us at the time of a discovery.
struct HostView {
    mounts: MountTable,
    hierarchies: Hierarchies,
    own: Memberships,
    /// Where the engine listens.
    socket: PathBuf,
}

impl HostView {
    /// Whether we are in this container. It has the volumes of others only to back them up.
    fn is_in(&self, container: &Container) -> bool {
        let mut cgroups = [&self.own.unified, &self.own.freezer].into_iter().flatten();
        cgroups.any(|cgroup| of_container(cgroup, &container.id).is_some())
    }

    fn take(engine: &Engine) -> Result<Self, PlatformError> {
        let unreadable = |source| PlatformError::Unreadable { path: "/proc/self".into(), source };
        let mounts = MountTable::read().map_err(unreadable)?;
        let own = Memberships::own().map_err(unreadable)?;
        let (hierarchies, socket) = (Hierarchies::among(&mounts), engine.address().into());
        Ok(Self { mounts, hierarchies, own, socket })
    }

    fn member(&self, name: String, container: Container) -> Result<Member, PlatformError> {
        let freezer = match container.pid {
            // A label that makes no sense is told, and nothing frozen.
            Some(root) if by_engine(&container).unwrap_or_default() => {
                self.engine_pause(root, &container.id)?
            }
            Some(pid) => self.freezer(pid, &container.id)?,
            None => None,
        };
        let frozen = freezer.as_ref().is_some_and(kernel::is_frozen);
        let activity = if frozen { Activity::Paused } else { container.activity };
        let Container { id, started, restarting, watch, image_name: image, labels, .. } = container;
        Ok(Member { name, id, started, activity, restarting, freezer, watch, image, labels })
    }

    // Not of a container that we are in ourselves, however we came there.
    fn engine_pause(&self, root: u32, id: &str) -> Result<Option<FreezeTarget>, PlatformError> {
        let mut own = [&self.own.unified, &self.own.freezer].into_iter().flatten();
        if own.any(|own| of_container(own, id).is_some()) {
            return Ok(None);
        }
        let cgroup = match self.freezer(root, id)? {
            Some(FreezeTarget::CgroupV1(path) | FreezeTarget::CgroupV2(path)) => Some(path),
            _ => None,
        };
        let (socket, container) = (self.socket.clone(), id.to_owned());
        Ok(Some(FreezeTarget::Engine(EnginePause { socket, container, root, cgroup })))
    }

    // The cgroup of a whole container, version 2 first, unless it is frozen in version 1 already, as
    // an engine does where both are mounted; never one that we are in ourselves.
    fn freezer(&self, pid: u32, id: &str) -> Result<Option<FreezeTarget>, PlatformError> {
        let read = Memberships::of(pid).map_err(|source| PlatformError::Unreadable {
            path: format!("/proc/{pid}/cgroup").into(),
            source,
        })?;
        let Some(theirs) = read else { return Ok(None) };
        let unified = self.hierarchies.unified.as_ref().and_then(|hierarchy| {
            let cgroup = of_container(theirs.unified.as_ref()?, id)?;
            let ours = self.own.unified.as_ref().is_some_and(|own| own.starts_with(cgroup));
            hierarchy.directory(cgroup).filter(|_| !ours).and_then(kernel::freezable_v2)
        });
        let first = self.hierarchies.freezer.as_ref().and_then(|hierarchy| {
            let cgroup = of_container(theirs.freezer.as_ref()?, id)?;
            let ours = self.own.freezer.as_ref().is_some_and(|own| own.starts_with(cgroup));
            hierarchy.directory(cgroup).filter(|_| !ours).and_then(kernel::freezable_v1)
        });
        Ok(match first {
            Some(frozen) if kernel::is_frozen(&frozen) => Some(frozen),
            first => unified.or(first),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named_by_its_socket() {
        let scratch = tempfile::TempDir::new().unwrap();
        let path = scratch.path().join("docker.sock");
        let host = format!("unix://{}", path.display());
        let missing = Docker::connect(Some(&host)).await.unwrap_err();
        assert!(matches!(missing, PlatformError::Unreachable { .. }));
        assert!(missing.to_string().contains(path.to_str().unwrap()), "{missing}");
        // A socket that nobody listens at any more.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let deaf = Docker::connect(Some(&host)).await.unwrap_err();
        assert!(matches!(deaf, PlatformError::Unreachable { .. }), "{deaf}");
    }

    #[tokio::test]
    async fn engines_of_other_hosts_are_refused() {
        for host in ["tcp://10.0.0.1:2375", "ssh://me@there", "", "docker.sock", "unix://x"] {
            let refused = Docker::connect(Some(host)).await.unwrap_err();
            assert!(matches!(refused, PlatformError::UnsupportedAddress { .. }), "{refused}");
        }
    }
}
