//! Each verb, done through the service.

mod apply;
mod backup;
mod catalog;
mod local;
mod note;
mod notifications;
mod policy;
mod quiesce;
mod serve;
mod thaw;
mod token;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use service::audit::Wanted;
use service::client::Wish;
use service::clock::SystemClock;
use service::config::Config;
use service::engine::{Engine, Settings};
use service::error::ServiceError;
use service::key::{KeySource, NewKey};
use service::keys::{self, Keyring};
use service::machine::Machine;
use service::pins::Pinning;
use service::platforms::Platforms;
use service::repair::{self, Donor};
use service::secret::SecretError;
use service::warden::WardenProgram;
use service::{CheckProgress, InUse, Location, RestoreProgress, applications, demo, points};

use crate::arguments::{
    Arguments, CheckArguments, ConfigVerb, DonorArguments, InitArguments, KeyVerb, PointArguments,
    RepairArguments, RestoreArguments, Verb,
};
use crate::exit::Exit;
use crate::paths;
use crate::progress::Display;
use crate::render::{self, Answer};

/// Does what was typed, and prints the answer. Ctrl-C ends it, and what is owed to an application is
/// done then; once more ends that, too.
pub(crate) async fn run(arguments: Arguments) -> Result<Exit, ServiceError> {
    if let Verb::Thaw { all } = arguments.verb {
        return thaw::run(arguments, all).await;
    }
    if matches!(arguments.verb, Verb::Serve { .. }) {
        return Box::pin(serve::run(arguments)).await;
    }
    let context = Context::new(arguments)?;
    tokio::select! {
        result = perform(&context) => return result,
        _ = tokio::signal::ctrl_c() => {}
    }
    if let Some(wish) = context.wish.get() {
        let is_called_off = tokio::select! {
            is_called_off = wish.call_off() => is_called_off,
            _ = tokio::signal::ctrl_c() => true,
        };
        if is_called_off {
            return Ok(Exit::Interrupted);
        }
    }
    if matches!(context.arguments.verb, Verb::Backup(_) | Verb::Quiesce(_) | Verb::Snapshot(_)) {
        tokio::select! {
            () = context.settle() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    Ok(Exit::Interrupted)
}

// Writes down who had it done.
async fn perform(context: &Context) -> Result<Exit, ServiceError> {
    if !context.arguments.verb.is_deed() {
        return Box::pin(carry_out(context)).await;
    }
    let audited = context.machine()?.audit(context.wanted()).await;
    let result = Box::pin(carry_out(context)).await;
    if let Some(audited) = audited {
        audited.end(code(&result), result.as_ref().err()).await;
    }
    result
}

fn code(result: &Result<Exit, ServiceError>) -> u8 {
    result.as_ref().map_or_else(|error| Exit::from(error.class()), |exit| *exit).code()
}

async fn carry_out(context: &Context) -> Result<Exit, ServiceError> {
    let Context { arguments, config, .. } = context;
    match &arguments.verb {
        Verb::Init(init) => context.init(init).await,
        Verb::Key(key) => context.key(key).await,
        Verb::Apps => context.applications().await,
        Verb::Quiesce(trial) => context.quiesce(trial).await,
        Verb::Backup(backup) => context.backup(backup).await,
        Verb::Snapshot(snapshot) => context.snapshot(snapshot).await,
        Verb::Points { app, local: true, tag: _ } => context.local_points(app.as_deref()).await,
        Verb::Points { app, tag, local: false } => {
            let engine = context.open().await?;
            let mut rows = engine.points(app.as_deref()).await?;
            engine.close().await;
            if let Some(tag) = tag {
                rows.retain(|row| row.annotations.tags.contains(tag));
            }
            Ok(context.answer(&rows, Exit::Success))
        }
        Verb::Runs { limit } => {
            let history = context.machine()?.history(*limit).await?;
            Ok(context.answer(&history, Exit::Success))
        }
        Verb::Audit { limit } => {
            let deeds = context.machine()?.deeds(*limit).await?;
            Ok(context.answer(&deeds, Exit::Success))
        }
        Verb::Show(PointArguments { point, app }) => {
            let engine = context.open().await?;
            let manifest = engine.manifest(point, app.as_deref()).await?;
            engine.close().await;
            let shown = render::Shown(points::redact(manifest.clone()), manifest);
            Ok(context.answer(&shown, Exit::Success))
        }
        Verb::Restore(restore) => match &restore.to {
            Some(to) => context.restore(restore, to).await,
            None => Box::pin(context.restore_local(restore)).await,
        },
        Verb::Check(check) => context.check(check).await,
        Verb::Verify(chosen) => context.verify(chosen).await,
        Verb::Tag(tag) => context.tag(tag).await,
        Verb::Hold(hold) => context.hold(hold).await,
        Verb::Release(release) => context.release(release).await,
        Verb::Forget(forget) if forget.local => context.forget_local(forget).await,
        Verb::Forget(forget) => context.forget(forget).await,
        Verb::Prune(prune) => context.prune(prune).await,
        Verb::Repair(repair) => context.repair(repair).await,
        Verb::Demo { directory } => {
            let program = own_program()?;
            let json = arguments.json;
            let show = |event| render::demo_event(&event, json);
            Box::pin(demo::run(directory, &program, show)).await?;
            Ok(Exit::Success)
        }
        Verb::Notifications(verb) => context.notifications(verb).await,
        Verb::Token(verb) => context.token(verb).await,
        Verb::Apply { plan, .. } => context.apply(*plan).await,
        Verb::Policy(verb) => context.policy(verb),
        Verb::Config(ConfigVerb::Check) => {
            let file = context.config_file.as_deref();
            Ok(context.answer(&render::ConfigChecked::new(file, config), Exit::Success))
        }
        Verb::Catalog(verb) => Box::pin(context.catalog(verb)).await,
        // Seen to above, or by `main`, being processes of their own.
        Verb::Thaw { .. } | Verb::Serve { .. } | Verb::Warden | Verb::DemoWriter { .. } => {
            Ok(Exit::Failure)
        }
    }
}

/// What was typed, together with the configuration.
struct Context {
    arguments: Arguments,
    config: Config,
    /// The file that was read, if there is one.
    config_file: Option<PathBuf>,
    /// The text of the configuration that is to take the place of that.
    new_configuration: Option<String>,
    /// What the service is asked to do for us.
    wish: OnceLock<Wish>,
}

/// The directory of what need not outlive the next start of the machine.
fn runtime_dir(arguments: &Arguments) -> PathBuf {
    arguments.runtime_dir.clone().unwrap_or_else(paths::runtime_dir)
}

/// The configuration that is named, or the usual one if it is there; and the file that it is from.
fn read_config(arguments: &Arguments) -> Result<(Option<PathBuf>, Config), ServiceError> {
    let usual = Some(paths::config_file()).filter(|path| path.exists());
    let config_file = arguments.config.clone().or(usual);
    let config = config_file.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    Ok((config_file, config))
}

impl Context {
    fn new(arguments: Arguments) -> Result<Self, ServiceError> {
        if let Verb::Apply { file, .. } = &arguments.verb {
            let (text, config) = Config::read_with_text(file)?;
            let (config_file, new_configuration) = (None, Some(text));
            let wish = OnceLock::new();
            return Ok(Self { arguments, config, config_file, new_configuration, wish });
        }
        let (config_file, config) = read_config(&arguments)?;
        let (new_configuration, wish) = (None, OnceLock::new());
        Ok(Self { arguments, config, config_file, new_configuration, wish })
    }

    // No secret is ever typed.
    fn wanted(&self) -> Wanted {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let repository = self.location().ok().map(|location| location.to_string());
        Wanted { words: words.collect(), repository, reason: self.arguments.reason.clone() }
    }

    fn answer(&self, answer: &impl Answer, exit: Exit) -> Exit {
        render::answer(answer, self.arguments.json);
        exit
    }

    fn platforms(&self) -> Platforms {
        Platforms {
            docker: self.arguments.docker_host.clone(),
            declared: self.config.declared(),
            hooks: self.config.hooks.clone(),
        }
    }

    fn location(&self) -> Result<Location, ServiceError> {
        let configured = self.config.default_repository().map(|repository| &repository.url);
        let text = self.arguments.repo.as_ref().or(configured).ok_or(ServiceError::NoRepository)?;
        Ok(text.parse()?)
    }

    // The flag goes before the environment, and that before the file.
    fn key_source(&self) -> Result<KeySource, ServiceError> {
        self.key_source_or(KeySource::from_environment)
    }

    fn key_source_or(
        &self,
        environment: impl FnOnce() -> Option<KeySource>,
    ) -> Result<KeySource, ServiceError> {
        let typed = self.arguments.key_file.clone().map(KeySource::File);
        let found = typed.or_else(environment).or_else(|| self.configured_key());
        Ok(found.ok_or(SecretError::Missing)?)
    }

    // The key in the file belongs to the file's repository.
    fn configured_key(&self) -> Option<KeySource> {
        match &self.arguments.repo {
            None => self.config.default_repository()?.key(),
            Some(url) => self.key_of(url),
        }
    }

    fn key_of(&self, url: &str) -> Option<KeySource> {
        let mut configured = self.config.repositories.values();
        configured.find(|repository| repository.url == url)?.key()
    }

    async fn open(&self) -> Result<Engine, ServiceError> {
        Engine::open(self.settings()?).await
    }

    fn settings(&self) -> Result<Settings, ServiceError> {
        Ok(Settings {
            location: self.location()?,
            key: self.key_source()?.read()?,
            cache_dir: self.cache(),
            machine: self.machine()?,
        })
    }

    fn machine(&self) -> Result<Machine, ServiceError> {
        let (platforms, state_dir) = (self.platforms(), self.state_dir());
        let clock = Arc::new(SystemClock);
        Ok(Machine { platforms, warden: self.warden()?, state_dir, clock })
    }

    fn state_dir(&self) -> PathBuf {
        self.chosen_state_dir().unwrap_or_else(paths::state_dir)
    }

    fn chosen_state_dir(&self) -> Option<PathBuf> {
        self.arguments.state_dir.clone().or_else(|| self.config.state_dir.clone())
    }

    fn warden(&self) -> Result<WardenProgram, ServiceError> {
        Ok(WardenProgram {
            program: own_program()?,
            arguments: vec!["warden".into()],
            journals: thaw::journals(&self.arguments),
        })
    }

    /// The directory of the cache, if there is to be one.
    fn cache(&self) -> Option<PathBuf> {
        (!self.arguments.no_cache).then(|| self.cache_dir())
    }

    fn cache_dir(&self) -> PathBuf {
        let beside = || self.chosen_state_dir().map(|state_dir| state_dir.join("cache"));
        self.arguments.cache_dir.clone().or_else(beside).unwrap_or_else(paths::cache_dir)
    }

    async fn applications(&self) -> Result<Exit, ServiceError> {
        let journals = thaw::journals(&self.arguments);
        let overview = applications::overview(&self.platforms(), journals).await?;
        if self.arguments.json {
            overview.remark.iter().for_each(|remark| render::note(remark));
        }
        Ok(self.answer(&render::Applications(overview), Exit::Success))
    }

    async fn init(&self, init: &InitArguments) -> Result<Exit, ServiceError> {
        let location = self.location()?;
        let first = match &init.new_key_file {
            Some(path) => NewKey::File(path.clone()),
            // A repository that only a recovery key opens would be of no use to anybody.
            None => NewKey::Existing(self.key_source_or(KeySource::usual_from_environment)?),
        };
        let made = keys::init(&location, &first, !init.no_recovery_key).await?;
        let key_file = init.new_key_file.clone();
        let secret = made.recovery_key.is_some();
        self.deliver(&render::Created::new(made, &location, key_file), secret)?;
        Ok(Exit::Success)
    }

    async fn key(&self, verb: &KeyVerb) -> Result<Exit, ServiceError> {
        let keyring = Keyring::open(&self.location()?, &self.key_source()?.read()?).await?;
        match verb {
            KeyVerb::List => Ok(self.answer(&keyring.list().await?, Exit::Success)),
            KeyVerb::Add(new) => {
                let label = new.label.clone().unwrap_or_default();
                let added = keyring.add(&new.key(), label).await?;
                self.deliver(&added, added.recovery_key.is_some())?;
                Ok(Exit::Success)
            }
            KeyVerb::Remove { slot, force } => {
                let in_use = if *force { InUse::Remove } else { InUse::Keep };
                let removed = keyring.remove(slot, in_use).await?;
                Ok(self.answer(&render::Removed { removed }, Exit::Success))
            }
            KeyVerb::Rotate { slot, new } => {
                let tell = |added: &keys::Added| self.deliver(added, added.recovery_key.is_some());
                keyring.rotate(slot, &new.key(), new.label.clone(), tell).await?;
                Ok(Exit::Success)
            }
        }
    }

    // A secret that is told once must have been seen.
    fn deliver(&self, answer: &impl Answer, secret: bool) -> Result<(), ServiceError> {
        let written = render::deliver(answer, self.arguments.json);
        if secret { written.map_err(ServiceError::Unprinted) } else { Ok(()) }
    }

    async fn restore(&self, restore: &RestoreArguments, to: &Path) -> Result<Exit, ServiceError> {
        let engine = self.open().await?;
        let manifest = engine.manifest(&restore.point, restore.app.as_deref()).await?;
        let mut plan = if restore.in_place {
            engine.plan_restore_in_place(&manifest, to, restore.delete).await?
        } else {
            engine.plan_restore(&manifest, to).await?
        };
        if restore.no_space_check {
            plan = plan.without_space_check();
        }
        if restore.plan {
            let exit = if plan.conflicts.is_empty() { Exit::Success } else { Exit::Failure };
            return Ok(self.answer(&plan, exit));
        }
        if !self.arguments.json && !self.arguments.quiet {
            render::talk(&plan);
        }
        let progress = Arc::new(RestoreProgress::default());
        let display = Display::new(self.shows_progress());
        let pinning = if restore.no_pin { Pinning::Without } else { Pinning::Pin };
        let restoring = engine.restore(manifest, plan.clone(), pinning, Arc::clone(&progress));
        let report = display.during_restore(restoring, &progress, plan.bytes).await?;
        engine.close().await;
        let whole = report.lost.is_empty() && report.unset.is_empty() && plan.omissions == 0;
        let exit = if whole { Exit::Success } else { Exit::Partial };
        Ok(self.answer(&render::Restored { plan, report }, exit))
    }

    async fn check(&self, check: &CheckArguments) -> Result<Exit, ServiceError> {
        let engine = self.open().await?;
        let progress = CheckProgress::default();
        let display = Display::new(self.shows_progress());
        let checking = Box::pin(engine.check(check.request(), &progress));
        let report = display.during_check(checking, &progress).await?;
        engine.close().await;
        let exit = report.class().into();
        Ok(self.answer(&report, exit))
    }

    async fn repair(&self, repair: &RepairArguments) -> Result<Exit, ServiceError> {
        // Before all that takes long: its key may be wrong.
        let donor = Box::pin(self.donor(&repair.donor)).await?;
        let engine = self.open().await?;
        let (request, progress) = (repair.request(), CheckProgress::default());
        let display = Display::new(self.shows_progress());
        let planning = Box::pin(engine.plan_repair(&request, &progress));
        let plan = display.during_check(planning, &progress).await?;
        if repair.plan {
            engine.close().await;
            let exit = plan.report.class().into();
            return Ok(self.answer(&plan, exit));
        }
        if !self.arguments.json && !self.arguments.quiet {
            render::talk(&plan);
        }
        let report = Box::pin(engine.repair(plan, &request, donor.as_ref(), &progress)).await?;
        engine.close().await;
        let exit = report.left.class().into();
        Ok(self.answer(&report, exit))
    }

    // The repository that what is lost may be taken from.
    async fn donor(&self, donor: &DonorArguments) -> Result<Option<Donor>, ServiceError> {
        let Some(url) = &donor.from_repository else { return Ok(None) };
        let typed = donor.key().or_else(KeySource::other_from_environment);
        let key = match typed.or_else(|| self.key_of(url)) {
            Some(key) => key,
            // A copy opens with the same key.
            None => self.key_source()?,
        };
        Ok(Some(repair::open_donor(&url.parse()?, &key.read()?).await?))
    }

    async fn verify(&self, chosen: &PointArguments) -> Result<Exit, ServiceError> {
        let engine = self.open().await?;
        let manifest = engine.manifest(&chosen.point, chosen.app.as_deref()).await?;
        let (point, bytes) = (manifest.point, manifest.volumes.iter().map(|v| v.data).sum());
        let progress = Arc::new(RestoreProgress::default());
        let display = Display::new(self.shows_progress());
        let verifying = engine.verify(manifest, Arc::clone(&progress));
        let verification = display.during_verify(verifying, &progress, bytes).await?;
        engine.close().await;
        let exit = if verification.lost.is_empty() { Exit::Success } else { Exit::Lost };
        Ok(self.answer(&render::Verified { point, verification }, exit))
    }

    fn shows_progress(&self) -> bool {
        !self.arguments.quiet && !self.arguments.json
    }
}

fn own_program() -> Result<PathBuf, ServiceError> {
    std::env::current_exe()
        .map_err(|source| ServiceError::System { action: "find this program", source })
}
