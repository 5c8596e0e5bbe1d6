//! The page maps of an upload, kept when its point exists.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use format::ids::ContentHash;

use crate::large::map_cache::MapCache;
use crate::large::page_map::NewPageMap;

/// The page maps of one volume.
#[derive(Debug)]
pub(crate) struct VolumeMaps {
    pub(crate) cache: MapCache,
    pub(crate) unchanged: Vec<ContentHash>,
    pub(crate) new: Vec<NewPageMap>,
}

/// The page maps in a directory; a cache that cannot be used is done without.
pub(crate) fn open(directory: &Path) -> Option<MapCache> {
    let opened = MapCache::open(directory);
    opened.inspect_err(|error| tracing::warn!(%error, "page digests cannot be kept")).ok()
}

/// Maps that are in their places before any point needs them. When it is dropped they go.
#[derive(Debug, Default)]
pub(crate) struct Lent(Vec<(ContentHash, PathBuf)>);

impl Lent {
    /// Puts the new maps of a pass in their places for the next one. Of those that were lent before,
    /// the ones that are of no use any more go; those of the parent point stay, for there may never
    /// be another one.
    pub(crate) fn lend(&mut self, maps: Vec<VolumeMaps>) {
        let before = std::mem::take(&mut self.0);
        let mut in_use = HashSet::new();
        for VolumeMaps { cache: _, unchanged, new } in maps {
            in_use.extend(unchanged);
            for map in new {
                let (hash, place) = (map.hash(), map.place());
                let is_known = place.exists();
                in_use.insert(hash);
                match map.keep() {
                    Ok(()) if !is_known => self.0.push((hash, place)),
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, "{NOT_KEPT}"),
                }
            }
        }
        let (stay, go): (Vec<_>, _) =
            before.into_iter().partition(|(hash, _)| in_use.contains(hash));
        self.0.extend(stay);
        drop(Self(go));
    }

    /// A point needs them now.
    pub(crate) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (_, place) in &self.0 {
            // The next sweep removes what stays.
            let _ = fs::remove_file(place);
        }
    }
}

impl VolumeMaps {
    /// Puts the new maps in their places and removes those of no use any more.
    pub(crate) fn keep(self) {
        let mut in_use: HashSet<_> = self.unchanged.into_iter().collect();
        for map in self.new {
            in_use.insert(map.hash());
            if let Err(error) = map.keep() {
                tracing::warn!(%error, "{NOT_KEPT}");
            }
        }
        if let Err(error) = self.cache.sweep(&in_use) {
            tracing::warn!(%error, "old page digests cannot be removed");
        }
    }
}

const NOT_KEPT: &str = "page digests of a file cannot be kept";
