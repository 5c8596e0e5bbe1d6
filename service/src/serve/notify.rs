//! What the manager of services is told, such as systemd; nothing where there is none.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service does its work.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the manager of services is not told of the reload"),
    }
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is at work.
pub(super) fn alive(running: usize, waiting: usize) {
    let status = format!("{running} runs go on, {waiting} wait");
    tell(&[NotifyState::Status(&status), NotifyState::Watchdog]);
}

/// How long the manager may be left without a word.
pub(super) fn patience() -> Duration {
    sd_notify::watchdog_enabled().map_or(Duration::MAX, |watchdog| watchdog / 3)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the manager of services does not listen");
    }
}
