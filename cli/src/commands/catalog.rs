//! The verbs for the catalog.

use service::Location;
use service::error::ServiceError;
use service::key::KeySource;
use service::rebuild::{self, Learning, Request};

use super::Context;
use crate::arguments::CatalogVerb;
use crate::exit::Exit;
use crate::progress::Display;
use crate::render;

impl Context {
    pub(super) async fn catalog(&self, verb: &CatalogVerb) -> Result<Exit, ServiceError> {
        match verb {
            CatalogVerb::Rebuild { plan } => self.rebuild(*plan).await,
            CatalogVerb::Backup => {
                let backup = self.machine()?.back_up_catalog().await?;
                Ok(self.answer(&backup, Exit::Success))
            }
        }
    }

    async fn rebuild(&self, only_plan: bool) -> Result<Exit, ServiceError> {
        let request = Request {
            machine: self.machine()?,
            cache_dir: self.cache(),
            repositories: self.all_repositories()?,
        };
        let plan = rebuild::plan(&request).await?;
        if only_plan {
            return Ok(self.answer(&plan, Exit::Success));
        }
        if self.shows_progress() {
            render::talk(&plan);
        }
        let (display, learning) = (Display::new(self.shows_progress()), Learning::default());
        let rebuilding = Box::pin(rebuild::rebuild(&request, &learning));
        let rebuilt = display.during_rebuild(rebuilding, &learning).await?;
        let whole = rebuilt.repositories.iter().all(|it| it.error.is_none() && it.unreadable == 0);
        let exit = if whole { Exit::Success } else { Exit::Partial };
        Ok(self.answer(&rebuilt, exit))
    }

    // The one that is typed, and those of the configuration, each with its key.
    fn all_repositories(&self) -> Result<Vec<(Location, Option<KeySource>)>, ServiceError> {
        let mut all = Vec::new();
        match self.location() {
            Ok(location) => all.push((location, self.key_source().ok())),
            // The catalog may know what is in no repository.
            Err(ServiceError::NoRepository) => {}
            Err(error) => return Err(error),
        }
        for repository in self.config.repositories.values() {
            let location: Location = repository.url.parse()?;
            if all.iter().all(|(other, _)| *other != location) {
                all.push((location, repository.key()));
            }
        }
        Ok(all)
    }
}
