//! The verb that puts another configuration in place.

use service::apply::{ApplyPlan, Told};
use service::error::ServiceError;

use super::{Context, runtime_dir};
use crate::exit::Exit;
use crate::{paths, render};

impl Context {
    /// Of the configuration of this context, which is the new one.
    pub(super) async fn apply(&self, only_plan: bool) -> Result<Exit, ServiceError> {
        let file = self.arguments.config.clone().unwrap_or_else(paths::config_file);
        let text = self.new_configuration.clone().unwrap_or_default();
        let plan = ApplyPlan::make(&self.config, text, &file)?;
        if only_plan {
            return Ok(self.answer(&plan, Exit::Success));
        }
        if !self.arguments.json && !self.arguments.quiet {
            render::talk(&plan);
        }
        let machine = self.machine()?;
        let before = if plan.is_empty() { None } else { plan.carry_out()? };
        // Also where nothing changes: it may have been refused before.
        let socket = runtime_dir(&self.arguments).join("stillpoint.sock");
        let told = machine.have_configuration_read(&socket).await;
        let is_refused = !matches!(told, Ok(Told::Follows | Told::NoService | Told::Silent));
        if is_refused && !plan.is_empty() {
            plan.take_back()?;
        }
        let (told, before) = (told?, before.filter(|_| !is_refused));
        let is_taken = matches!(told, Told::Follows | Told::NoService);
        let exit = if is_taken { Exit::Success } else { Exit::Failure };
        Ok(self.answer(&render::Applied { plan, before, service: told }, exit))
    }
}
