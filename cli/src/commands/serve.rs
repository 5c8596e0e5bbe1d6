//! The service, and the signals that tell it what to do.

use std::io;

use jiff::tz::TimeZone;
use service::Zone;
use service::error::ServiceError;
use service::serve::{Order, Setup, serve};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{Context, read_config, runtime_dir};
use crate::arguments::{Arguments, Verb};
use crate::exit::Exit;

/// Serves until SIGTERM or Ctrl-C; a second one ends it at once. SIGHUP has it read the configuration
/// again.
pub(super) async fn run(arguments: Arguments) -> Result<Exit, ServiceError> {
    let Verb::Serve { grace } = arguments.verb else { return Ok(Exit::Failure) };
    let mut context = Context::new(arguments)?;
    let (orders, inbox) = mpsc::channel(4);
    let mut serving = Box::pin(serve(context.setup()?, inbox));
    let (mut hangup, mut terminate) = (on(SignalKind::hangup())?, on(SignalKind::terminate())?);
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut is_ending = false;
    loop {
        let order = tokio::select! {
            served = &mut serving => return served.map(|()| Exit::Success),
            _ = hangup.recv(), if !is_ending => match context.read_again() {
                Ok(setup) => Order::Reload(Box::new(setup)),
                Err(error) => Order::Keep(Box::new(error)),
            },
            _ = terminate.recv() => Order::Stop(grace),
            _ = interrupt.recv() => Order::Stop(grace),
        };
        if is_ending {
            return Ok(Exit::Interrupted);
        }
        is_ending = matches!(order, Order::Stop(_));
        tokio::select! {
            served = &mut serving => return served.map(|()| Exit::Success),
            // Where nobody takes it any more, the service is about to answer.
            _ = orders.send(order) => {}
        }
    }
}

fn on(kind: SignalKind) -> Result<Signal, ServiceError> {
    signal(kind)
        .map_err(|source: io::Error| ServiceError::System { action: "listen to signals", source })
}

impl Context {
    pub(super) fn setup(&self) -> Result<Setup, ServiceError> {
        let repository = match self.location() {
            Ok(location) => Some((location, self.key_source()?)),
            // Policies name theirs.
            Err(ServiceError::NoRepository) => None,
            Err(error) => return Err(error),
        };
        Ok(Setup {
            config: self.config.clone(),
            machine: self.machine()?,
            cache_dir: self.cache(),
            repository,
            socket: runtime_dir(&self.arguments).join("stillpoint.sock"),
            here: Zone::from(TimeZone::system()),
        })
    }

    fn read_again(&mut self) -> Result<Setup, ServiceError> {
        let (config_file, config) = read_config(&self.arguments)?;
        (self.config_file, self.config) = (config_file, config);
        self.setup()
    }
}
