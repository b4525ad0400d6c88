//! What happens on a board, as a stream.

use std::sync::Arc;

use super::{EventKind, EventKinds, Notification, hub::Batch};
use crate::board::{Events, JobBoard};

impl JobBoard {
    /// What happens on the board from now on, as a stream: everything, or events of some kinds.
    ///
    /// # Guarantees
    /// What is told can be seen: after [`Posted`](super::Event::Posted), [`get`](Self::get) and
    /// [`jobs`](Self::jobs) show the job, until it goes. Every change is told once, in the order
    /// of the store's revisions, over broken connections and restarts of etcd too. Where the
    /// board had to be listed anew, the differences are told: what became of each job, steps in between left
    /// out. That is so where etcd has compacted what happened meanwhile, where more was missed than one answer
    /// may hold, where a watch fell silent although the board changed, and at each
    /// [`fresh_jobs`](Self::fresh_jobs) of a handle that may not write to the board.
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
    pub fn events(&self, kinds: impl Into<EventKinds>) -> crate::Result<Events> {
        let connection = self.connection("listen to the board")?;
        let kinds = kinds.into();
        let hub = &self.0.hub;
        let (batches, over, board) = (hub.listen(), connection.over().clone(), self.clone());
        if kinds.contains(EventKind::Trashed) {
            hub.want_trash();
        }
        let read = move |batch: Result<Arc<Batch>, u64>| {
            let mut told = match batch {
                Ok(batch) => batch.notifications(&board),
                Err(missed) => vec![Notification::lagged(missed)],
            };
            told.retain(|told| kinds.listens_to(told));
            told
        };
        Ok(Events::of(batches, over.cancelled_owned(), read))
    }
}
