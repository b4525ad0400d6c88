//! The task that calls the callbacks of a board.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{Callback, CallbackId, Notification, Notifier, hub::Batch};
use crate::{
    board::{JobBoard, Shared},
    panicked,
};

/// Calls back until `over` fires and all that happened before is told, or nobody holds the board
/// any more.
pub(in crate::board) async fn run(board: Weak<Shared>, over: CancellationToken) {
    while let Some(mut mailbox) = open(&board, &over).await {
        loop {
            let batch = tokio::select! {
                biased;
                batch = mailbox.recv() => batch,
                () = over.cancelled() => return keep(&board, mailbox),
            };
            let Some(board) = board.upgrade().map(JobBoard) else {
                return;
            };
            let (after, told) = match batch {
                Ok(batch) => (batch.number, batch.notifications(&board)),
                Err(RecvError::Lagged(missed)) => (u64::MAX, vec![Notification::lagged(missed)]),
                Err(RecvError::Closed) => return,
            };
            let notifier = &board.0.notifier;
            if !notifier.is_used() || notifier.lock().mailbox.is_some() {
                // Everybody has gone; who came since has a mailbox of its own.
                break;
            }
            tell(notifier, after, &told);
            tokio::task::consume_budget().await;
        }
    }
}

/// Waits until there is a mailbox.
async fn open(
    board: &Weak<Shared>,
    over: &CancellationToken,
) -> Option<broadcast::Receiver<Arc<Batch>>> {
    loop {
        // Not held while this waits.
        let notifier = board.upgrade()?.notifier.clone();
        if let Some(mailbox) = notifier.lock().mailbox.take() {
            return Some(mailbox);
        }
        tokio::select! {
            biased;
            () = notifier.0.opened.notified() => {}
            () = over.cancelled() => return None,
        }
    }
}

/// Keeps a mailbox for the next connection, unless there is another by now.
fn keep(board: &Weak<Shared>, mailbox: broadcast::Receiver<Arc<Batch>>) {
    if let Some(board) = board.upgrade() {
        board.notifier.lock().mailbox.get_or_insert(mailbox);
    }
}

/// Tells everybody who was registered before the batch of that number.
fn tell(notifier: &Notifier, number: u64, told: &[Notification]) {
    let callbacks: Vec<_> = notifier
        .lock()
        .callbacks
        .iter()
        .filter(|(_, callback)| callback.after < number)
        .map(|(id, callback)| (*id, Arc::clone(callback)))
        .collect();
    for notification in told {
        for (id, callback) in &callbacks {
            if callback.kinds.listens_to(notification) && notifier.is_registered(*id) {
                call(*id, callback, notification);
            }
        }
    }
}

fn call(id: CallbackId, callback: &Callback, told: &Notification) {
    // A callback that panics half-way has only its own state to answer for.
    let called = catch_unwind(AssertUnwindSafe(|| {
        let wanted = told.is_lagged() || callback.filter.as_ref().is_none_or(|filter| filter(told));
        wanted.then(|| (callback.call)(told)).flatten()
    }));
    let kind = told.kind();
    match called {
        Ok(None) => {}
        Ok(Some(error)) => tracing::warn!(?id, %kind, error, "a callback failed"),
        Err(panic) => {
            let panic = panicked::words(&*panic);
            tracing::error!(?id, %kind, panic, "a callback panicked");
        }
    }
}
