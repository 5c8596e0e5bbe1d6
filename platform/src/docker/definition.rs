//! The engine's own description of an application: everything to make it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use bollard::models::{ContainerInspectResponse, Volume};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::container::Container;
use super::engine::Engine;
use crate::error::PlatformError;

/// Descriptions of everything that some containers use, each fetched once.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
    images: BTreeMap<String, Value>,
    /// The volumes whose filesystem the engine mounts only while they are in use.
    pub(super) mounted_on_use: BTreeSet<String>,
}

impl Inventory {
    /// Asks the engine about all that these containers use.
    pub(super) async fn fetch(
        engine: &Engine,
        containers: impl Iterator<Item = &Container>,
    ) -> Result<Self, PlatformError> {
        let (mut networks, mut images, mut volumes) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for container in containers {
            networks.extend(&container.networks);
            images.extend(Some(&container.image).filter(|id| !id.is_empty()));
            volumes.extend(container.mounts.iter().filter_map(|mount| mount.volume.as_ref()));
        }
        let volumes = all(volumes, |name| async move { engine.volume(&name).await }).await?;
        let on_use = volumes.iter().filter(|(_, volume)| is_mounted_on_use(volume));
        let mounted_on_use = on_use.map(|(name, _)| name.clone()).collect();
        let images = all(images, |id| async move { engine.image(&id).await })
            .await?
            .into_iter()
            .map(|(id, image)| {
                let described = json!({
                    "Id": image.id, "RepoTags": image.repo_tags, "RepoDigests": image.repo_digests,
                });
                (id, described)
            });
        Ok(Self {
            networks: described(
                all(networks, |name| async move { engine.network(&name).await }).await?,
            ),
            images: images.collect(),
            volumes: described(volumes),
            mounted_on_use,
        })
    }

    /// The description of an application of these containers.
    pub(super) fn definition(
        &self,
        containers: &[(&Container, &ContainerInspectResponse)],
    ) -> Value {
        let parsed = || containers.iter().map(|(container, _)| *container);
        let networks: BTreeSet<&String> = parsed().flat_map(|c| &c.networks).collect();
        let images: BTreeSet<&String> = parsed().map(|c| &c.image).collect();
        let volumes: BTreeSet<&String> =
            parsed().flat_map(|c| &c.mounts).filter_map(|mount| mount.volume.as_ref()).collect();
        json!({
            "containers": containers.iter().map(|(_, answer)| json!(answer)).collect::<Vec<_>>(),
            "networks": chosen(&self.networks, networks),
            "volumes": chosen(&self.volumes, volumes),
            "images": chosen(&self.images, images),
        })
    }
}

// Those of the local driver with a device of their own, as for NFS.
fn is_mounted_on_use(volume: &Volume) -> bool {
    volume.driver == "local" && volume.options.contains_key("device")
}

// What the engine does not know any more is not in the answer.
async fn all<T, F>(
    names: BTreeSet<&String>,
    ask: impl Fn(String) -> F,
) -> Result<BTreeMap<String, T>, PlatformError>
where
    F: Future<Output = Result<Option<T>, PlatformError>>,
{
    let names: Vec<String> = names.into_iter().cloned().collect();
    let questions = names.into_iter().map(|name| {
        let question = ask(name.clone());
        async move { Ok(question.await?.map(|answer| (name, answer))) }
    });
    stream::iter(questions)
        .buffered(super::QUESTIONS_AT_ONCE)
        .try_filter_map(|answer| async move { Ok(answer) })
        .try_collect()
        .await
}

fn described<T: Serialize>(answers: BTreeMap<String, T>) -> BTreeMap<String, Value> {
    answers.into_iter().map(|(name, answer)| (name, json!(answer))).collect()
}

fn chosen<'a>(all: &'a BTreeMap<String, Value>, names: BTreeSet<&String>) -> Vec<&'a Value> {
    names.into_iter().filter_map(|name| all.get(name)).collect()
}
