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
