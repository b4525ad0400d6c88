//! What happens on a board, as a stream.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{EventKind, EventKinds, Notification, hub::Batch};
use crate::{board::JobBoard, error::Result};

impl JobBoard {
    /// What happens on the board from now on, as a stream: everything, or events of some kinds.
    ///
    /// # Guarantees
    /// What is told can be seen: after [`Posted`](super::Event::Posted), [`get`](Self::get) and
    /// [`jobs`](Self::jobs) show the job, until it goes. Every change is told once, in the order
    /// of the store's revisions, over broken connections and restarts of etcd too. Where etcd has
    /// compacted what happened meanwhile, the differences are told: what became of each job, steps
    /// in between left out.
    ///
    /// The board never waits for who listens. Who is more than a thousand revisions behind is told
    /// so ([`Lagged`](super::Event::Lagged)) and goes on with what is still there.
    ///
    /// To see all jobs and miss no change, listen first and look at [`jobs`](Self::jobs) then: a
    /// job that was posted in between comes twice.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{Event, EventKinds, JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let mut events = board.events(EventKinds::ANY)?;
    /// let posted = board.post(NewJob::new("thumbnail")).await?;
    /// match events.next().await.map(|told| told.event) {
    ///     Some(Event::Posted(job)) => assert_eq!(job.uuid(), posted.uuid()),
    ///     other => panic!("{other:?}"),
    /// }
    /// board.close().await;
    /// assert!(events.next().await.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self, kinds: impl Into<EventKinds>) -> Result<Events> {
        let connection = self.connection("listen to the board")?;
        let kinds = kinds.into();
        let hub = &self.0.hub;
        let listening = Listening {
            batches: hub.listen(),
            over: connection.over().clone(),
            board: self.clone(),
            kinds,
            waiting: VecDeque::new(),
        };
        if kinds.contains(EventKind::Trashed) {
            hub.want_trash();
        }
        let next = |mut listening: Listening| async {
            let told = listening.next().await?;
            Some((told, listening))
        };
        Ok(Events(stream::unfold(listening, next).boxed()))
    }
}

/// What happens on a board; made by [`JobBoard::events`]. It ends when the board is closed.
pub struct Events(BoxStream<'static, Notification>);

impl Events {
    /// The next event; `None` once the board is closed and all was told. Cancel safe.
    pub async fn next(&mut self) -> Option<Notification> {
        self.0.next().await
    }
}

impl Stream for Events {
    type Item = Notification;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

struct Listening {
    batches: broadcast::Receiver<Arc<Batch>>,
    over: CancellationToken,
    board: JobBoard,
    kinds: EventKinds,
    waiting: VecDeque<Notification>,
}

impl Listening {
    async fn next(&mut self) -> Option<Notification> {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return Some(told);
            }
            let batch = tokio::select! {
                biased;
                batch = self.batches.recv() => batch,
                () = self.over.cancelled() => return None,
            };
            match batch {
                Ok(batch) => {
                    let told = batch.notifications(&self.board);
                    let wanted = told.into_iter().filter(|told| self.kinds.listens_to(told));
                    self.waiting.extend(wanted);
                }
                Err(RecvError::Lagged(missed)) => return Some(Notification::lagged(missed)),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
