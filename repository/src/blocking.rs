//! Work that blocks or computes for long, on a thread of its own.

/// Does `work` on so many threads at once, until all are done; on this one alone where nothing is left
/// to chance.
pub(crate) fn share(threads: usize, work: impl Fn() + Sync) {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_running() {
        return work();
    }
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(&work);
        }
    });
}

/// Runs `work` where blocking is allowed, and gives its result; a panic goes on here.
///
/// # Cancellation
/// A dropped future leaves the thread at work until it is done.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_running() {
        return work();
    }
    let ended = tokio::task::spawn_blocking(work).await;
    match ended.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panicked)) => std::panic::resume_unwind(panicked),
        // The runtime is going down, and nobody waits for an answer any more.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// The same for work that also waits for the store.
pub(crate) async fn run_with_store<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_running() {
        return crate::simulation::beside(work).await;
    }
    run(work).await
}
