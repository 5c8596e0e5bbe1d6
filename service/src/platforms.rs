//! The platforms of this machine, asked for an application by its name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use consistency::hooks::{Declaration, HookError, Plan};
use platform::Platform;
use platform::application::Application;
use platform::docker::Docker;
use platform::error::PlatformError;
use platform::host::{Declared, Host};

/// Where the engine listens unless it is said otherwise.
const DOCKER: &str = "/var/run/docker.sock";

/// Where applications are looked for.
#[derive(Clone, Debug, Default)]
pub struct Platforms {
    /// The address of the Docker engine, as in `DOCKER_HOST`; the usual socket by default.
    pub docker: Option<String>,
    /// The applications of the host itself.
    pub declared: Vec<Declared>,
    /// What the configuration says about hooks, by the names of the application and the container.
    pub hooks: BTreeMap<String, BTreeMap<String, Declaration>>,
}

/// Every application that could be seen.
#[derive(Debug)]
pub struct Seen {
    /// The applications, the host's own first.
    pub applications: Vec<Application>,
    /// A platform that did not answer, while another one did.
    pub unreachable: Option<PlatformError>,
}

impl Platforms {
    /// Every application of every platform.
    ///
    /// # Errors
    /// When no platform could answer; a Docker engine that is not there is no error on a host
    /// that has applications of its own.
    pub async fn applications(&self) -> Result<Seen, PlatformError> {
        let mut applications = self.host()?.applications().await?;
        match self.docker_applications().await {
            Ok(more) => applications.extend(more),
            Err(error) if applications.is_empty() => return Err(error),
            Err(error) => return Ok(Seen { applications, unreachable: Some(error) }),
        }
        Ok(Seen { applications, unreachable: None })
    }

    /// The application of this name as it stands right now; a declared one goes before one of
    /// the same name on Docker.
    pub async fn application(&self, name: &str) -> Result<Application, PlatformError> {
        if self.declared.iter().any(|declared| declared.name == name) {
            return self.host()?.application(name).await;
        }
        Docker::connect(self.docker.as_deref()).await?.application(name).await
    }

    /// The platform of this name, as applications and debts name it.
    pub(crate) async fn platform(&self, name: &str) -> Result<Arc<dyn Platform>, PlatformError> {
        let host = self.host()?;
        if name == host.name() {
            return Ok(Arc::new(host));
        }
        Ok(Arc::new(Docker::connect(self.docker.as_deref()).await?))
    }

    /// The hooks of an application.
    pub(crate) fn hooks(&self, application: &Application) -> Result<Plan, HookError> {
        let nothing = BTreeMap::new();
        Plan::of(application, self.hooks.get(&application.name).unwrap_or(&nothing))
    }

    /// Where the engines listen that this machine's containers need.
    pub(crate) fn engine_sockets(&self) -> Vec<PathBuf> {
        let docker = self.docker.as_deref().unwrap_or(DOCKER);
        vec![docker.strip_prefix("unix://").unwrap_or(docker).into()]
    }

    async fn docker_applications(&self) -> Result<Vec<Application>, PlatformError> {
        Docker::connect(self.docker.as_deref()).await?.applications().await
    }

    fn host(&self) -> Result<Host, PlatformError> {
        Host::new(self.declared.clone())
    }
}
