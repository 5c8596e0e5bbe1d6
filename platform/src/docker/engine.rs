//! The engine's answers to our questions, and its errors in our words.

use std::path::Path;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ImageInspect, NetworkInspect, Volume};
use bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, ListContainersOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};

use super::PLATFORM;
use crate::error::PlatformError;

/// A connection to the engine of this host.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) client: Docker,
    address: String,
}

impl Engine {
    /// Connects by a socket's `unix:///path`, or its bare path, and agrees on a version.
    pub(super) async fn connect(host: &str) -> Result<Self, PlatformError> {
        let path = host.strip_prefix("unix://").unwrap_or(host);
        let address = path.to_owned();
        if !Path::new(path).is_absolute() {
            let address = host.to_owned();
            return Err(PlatformError::UnsupportedAddress { platform: PLATFORM, address });
        }
        let client = match Docker::connect_with_unix(path, ANSWER_SECONDS_MAX, API_DEFAULT_VERSION)
        {
            Ok(client) => client.negotiate_version().await,
            Err(error) => Err(error),
        };
        let client = client.map_err(|error| refusal(&address, "tell its version", error))?;
        Ok(Self { client, address })
    }

    /// The path of its socket.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Where the engine keeps everything.
    pub(super) async fn data_root(&self) -> Result<Option<String>, PlatformError> {
        let info = self.client.info().await.map_err(|e| self.refusal("describe itself", e))?;
        Ok(info.docker_root_dir.filter(|root| !root.is_empty()))
    }

    /// The ids of all containers, stopped ones too.
    pub(super) async fn container_ids(&self) -> Result<Vec<String>, PlatformError> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let listed = self.client.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.refusal("list containers", error))?;
        Ok(listed.into_iter().filter_map(|container| container.id).collect())
    }

    /// A container; `None` when it is gone by now.
    pub(super) async fn container(
        &self,
        id: &str,
    ) -> Result<Option<ContainerInspectResponse>, PlatformError> {
        let answer = self.client.inspect_container(id, None::<InspectContainerOptions>).await;
        self.present(answer, "container", id)
    }

    /// A network; `None` when there is none of that name.
    pub(super) async fn network(
        &self,
        name: &str,
    ) -> Result<Option<NetworkInspect>, PlatformError> {
        let answer = self.client.inspect_network(name, None::<InspectNetworkOptions>).await;
        self.present(answer, "network", name)
    }

    /// A volume; `None` when there is none of that name.
    pub(super) async fn volume(&self, name: &str) -> Result<Option<Volume>, PlatformError> {
        self.present(self.client.inspect_volume(name).await, "volume", name)
    }

    /// An image; `None` when it was removed though a container still runs it.
    pub(super) async fn image(&self, id: &str) -> Result<Option<ImageInspect>, PlatformError> {
        self.present(self.client.inspect_image(id).await, "image", id)
    }

    fn present<T>(
        &self,
        answer: Result<T, Error>,
        kind: &str,
        name: &str,
    ) -> Result<Option<T>, PlatformError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.refusal(&format!("inspect {kind} `{name}`"), error)),
        }
    }

    /// An error of the engine, as one of ours.
    pub(super) fn refusal(&self, action: &str, error: Error) -> PlatformError {
        refusal(&self.address, action, error)
    }
}

// An engine that says nothing for so long is as good as none.
const ANSWER_SECONDS_MAX: u64 = 30;

fn refusal(address: &str, action: &str, error: Error) -> PlatformError {
    match error {
        Error::SocketNotFoundError(_)
        | Error::IOError { .. }
        | Error::HyperResponseError { .. }
        | Error::HyperLegacyError { .. }
        | Error::RequestTimeoutError => PlatformError::Unreachable {
            platform: PLATFORM,
            address: address.to_owned(),
            source: Box::new(error),
        },
        error => PlatformError::Refused {
            platform: PLATFORM,
            action: action.to_owned(),
            source: Box::new(error),
        },
    }
}
