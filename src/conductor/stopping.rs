//! How a conductor stops: first it claims nothing more, then it asks what runs to stop, then it waits no
//! longer.

use tokio_util::sync::CancellationToken;

/// How far a conductor is on its way to the end. Each step begins with a token that fires.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopping {
    drain: CancellationToken,
    shutdown: CancellationToken,
    halt: CancellationToken,
    over: CancellationToken,
}

impl Stopping {
    /// Nothing more is claimed; what runs is waited for.
    pub(super) const fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// What runs is asked to stop.
    pub(super) const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// What runs is dropped.
    pub(super) const fn halt(&self) -> &CancellationToken {
        &self.halt
    }

    /// All that ran has ended.
    pub(super) const fn over(&self) -> &CancellationToken {
        &self.over
    }
}

/// The signals that ask a process to end: SIGINT and SIGTERM; where there are none of those, Ctrl-C.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    heard: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    /// Those that come from now on.
    ///
    /// # Errors
    /// If the system does not let signals be heard.
    pub(super) fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let heard = [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            ];
            Ok(Self { heard })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one; for ever if none can come any more. Cancel safe.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut self.heard;
            tokio::select! {
                biased;
                Some(()) = terminate.recv() => {}
                Some(()) = interrupt.recv() => {}
                else => std::future::pending().await,
            }
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
