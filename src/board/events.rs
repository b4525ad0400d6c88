//! What is told of a board, as a stream.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::Notification;

/// What is told of a board, in order: of its jobs ([`JobBoard::events`](super::JobBoard::events)) or
/// of its entities ([`Entities::events`](super::Entities::events)). It ends when the board is
/// closed and all was told.
pub struct Events<T = Notification>(BoxStream<'static, T>);

impl<T: Send + 'static> Events<T> {
    /// What `read` makes of each batch, and of each number of batches that came too fast; until no
    /// more can come, or `over` ends and all that came before is told.
    pub(super) fn of<B: Clone + Send + 'static>(
        batches: Receiver<B>,
        over: impl Future<Output = ()> + Send + 'static,
        read: impl Fn(Result<B, u64>) -> Vec<T> + Send + 'static,
    ) -> Self {
        let listening = (batches, Box::pin(over), read);
        let told = stream::unfold(listening, |(mut batches, mut over, read)| async move {
            let batch = tokio::select! {
                biased;
                batch = batches.recv() => batch,
                () = &mut over => return None,
            };
            let told = match batch {
                Ok(batch) => read(Ok(batch)),
                Err(RecvError::Lagged(missed)) => read(Err(missed)),
                Err(RecvError::Closed) => return None,
            };
            Some((told, (batches, over, read)))
        });
        Self(told.flat_map(stream::iter).boxed())
    }

    /// The next event; `None` once the board is closed and all was told. Cancel safe.
    pub async fn next(&mut self) -> Option<T> {
        self.0.next().await
    }
}

impl<T> Stream for Events<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
