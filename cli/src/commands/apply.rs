//! The verb that puts another configuration in place.

use std::path::Path;

use service::apply::{ApplyPlan, Told};
use service::error::ServiceError;

use super::{Context, runtime_dir};
use crate::exit::Exit;
use crate::{paths, render};

impl Context {
    pub(super) async fn apply(&self, new: &Path, only_plan: bool) -> Result<Exit, ServiceError> {
        let file = self.arguments.config.clone().unwrap_or_else(paths::config_file);
        let plan = ApplyPlan::make(new, &file)?;
        if only_plan || plan.changes.is_empty() {
            return Ok(self.answer(&plan, Exit::Success));
        }
        if !self.arguments.json && !self.arguments.quiet {
            render::talk(&plan);
        }
        let before = plan.carry_out()?;
        let socket = runtime_dir(&self.arguments).join("stillpoint.sock");
        let told = self.machine()?.have_configuration_read(&socket).await?;
        let is_taken = matches!(told, Told::Follows | Told::NoService);
        let exit = if is_taken { Exit::Success } else { Exit::Failure };
        Ok(self.answer(&render::Applied { plan, before, service: told }, exit))
    }
}
