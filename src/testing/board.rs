//! A board for tests of handlers.

use std::{fmt, sync::Arc};

use chrono::DateTime;
use futures::StreamExt;

use crate::{
    Conductor, Handler, Job, JobBoard, NewJob, Result, Retry, Step, TrashedJob, clock::Clock,
    random::Random, store::Memory,
};

/// A board on a store in memory for tests of [handlers](Handler), with a conductor that does one job when
/// it is told to.
///
/// On tokio's paused time (`#[tokio::test(start_paused = true)]`, of tokio's feature `test-util`) delays
/// and backoff cost no time: the board's clock goes with it. Its uuids and backoff are the same in each
/// run.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use jobboard::{Context, Handler, HandlerError, NewJob, Outcome, Step, testing::TestBoard};
/// use serde_json::json;
///
/// /// Posts a job for each page of a book.
/// struct Split(jobboard::JobBoard);
///
/// impl Handler for Split {
///     async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
///         let pages = context.job().details()["pages"].as_u64().ok_or("no pages")?;
///         for page in 1..=pages {
///             self.0.post(NewJob::new("page").details(json!({"page": page}))).await?;
///         }
///         Ok(Outcome::Consume)
///     }
/// }
///
/// let test = TestBoard::connect().await?;
/// let split = Split(test.board().clone());
/// test.board().post(NewJob::new("book").details(json!({"pages": 2}))).await?;
///
/// let (job, step) = test.step(split).await?.unwrap();
/// assert_eq!((job.name(), step), ("book", Step::Consumed));
/// let pages = test.jobs().await?;
/// assert_eq!(pages.len(), 2);
/// assert_eq!(pages[1].details()["page"], 2);
/// # Ok(())
/// # }
/// ```
pub struct TestBoard {
    board: JobBoard,
    store: Memory,
}

impl TestBoard {
    /// An empty board, connected.
    ///
    /// # Errors
    /// Those of [`JobBoard::connect`], of which a store in memory has none.
    pub async fn connect() -> Result<Self> {
        let store = Memory::new();
        let board = JobBoard::builder("test")
            .store(store.clone())
            .clock(Clock::counted_from(DateTime::UNIX_EPOCH))
            .random(Random::seeded(0))
            .connect()
            .await?;
        Ok(Self { board, store })
    }

    /// The board.
    pub const fn board(&self) -> &JobBoard {
        &self.board
    }

    /// The store that the board is kept in: for another handle to it, or to spoil it.
    pub const fn store(&self) -> &Memory {
        &self.store
    }

    /// Posts a job with these details.
    ///
    /// # Errors
    /// Those of [`JobBoard::post`].
    pub async fn post(&self, name: &str, details: serde_json::Value) -> Result<Job> {
        self.board.post(NewJob::new(name).details(details)).await
    }

    /// Has `handler` do the first job that can be claimed now, and gives the job and what became of it;
    /// nothing if there is none. A conductor does it: errors and panics give the job back with backoff.
    ///
    /// # Errors
    /// Those of [`Conductor::run`].
    pub async fn step(&self, handler: impl Handler) -> Result<Option<(Job, Step)>> {
        self.step_with(handler, None).await
    }

    /// As [`step`](Self::step), with this in place of backoff where the handler gives an error or panics.
    ///
    /// # Errors
    /// Those of [`Conductor::run`].
    pub async fn step_with(
        &self,
        handler: impl Handler,
        retry: impl Into<Option<Retry>>,
    ) -> Result<Option<(Job, Step)>> {
        if self
            .board
            .fresh_jobs()
            .await?
            .only_unclaimed()
            .next()
            .is_none()
        {
            return Ok(None);
        }
        let conductor = Conductor::builder(&self.board, "test").max_dispatches(1);
        let conductor = match retry.into() {
            Some(retry) => conductor.retry(retry),
            None => conductor,
        };
        let conductor = conductor.handler(Arc::new(handler))?;
        let events = conductor.events();
        conductor.run().await?;
        drop(conductor);
        let steps = events.filter_map(async |event| Some((event.job?, event.step)));
        let steps: Vec<_> = steps.collect().await;
        // The view shows what the step did.
        self.board.fresh_jobs().await?;
        Ok(steps.into_iter().next_back())
    }

    /// The jobs on the board, in its order.
    ///
    /// # Errors
    /// Those of [`JobBoard::fresh_jobs`].
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        Ok(self.board.fresh_jobs().await?.collect())
    }

    /// What is in the trash, the oldest first.
    ///
    /// # Errors
    /// Those of [`TrashReview::list`](crate::TrashReview::list).
    pub async fn trash(&self) -> Result<Vec<TrashedJob>> {
        Ok(self.board.trash_review().list().await?.jobs)
    }
}

impl fmt::Debug for TestBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestBoard({:?})", self.board)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{Context, HandlerError, Outcome};

    /// Does what the details say.
    struct Obedient;

    impl Handler for Obedient {
        async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
            match context.job().details()["do"].as_str() {
                Some("fail") if context.attempt() < 3 => Err("not yet")?,
                Some("trash") => Ok(Outcome::Trash("bad".to_owned())),
                _ => Ok(Outcome::Consume),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_does_one_job_and_tells_what_became_of_it() {
        let test = TestBoard::connect().await.unwrap();
        assert!(test.step(Obedient).await.unwrap().is_none());
        for what in ["trash", "consume"] {
            test.post(what, json!({"do": what})).await.unwrap();
        }
        let (job, step) = test.step(Obedient).await.unwrap().unwrap();
        assert_eq!(
            (job.name(), step),
            ("trash", Step::Trashed("bad".to_owned()))
        );
        assert_eq!(test.trash().await.unwrap()[0].reason(), Some("bad"));
        assert_eq!(test.jobs().await.unwrap().len(), 1);
        let (job, step) = test.step(Obedient).await.unwrap().unwrap();
        assert_eq!((job.name(), step), ("consume", Step::Consumed));
        assert!(test.step(Obedient).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_costs_no_time_on_paused_time() {
        let test = TestBoard::connect().await.unwrap();
        let job = test.post("a", json!({"do": "fail"})).await.unwrap();
        let hour = Duration::from_hours(1);
        for attempt in 1..=2 {
            let step = test.step_with(Obedient, Retry::after(hour)).await.unwrap();
            let abandoned = Step::Abandoned(Some("not yet".to_owned()));
            assert_eq!(step.unwrap().1, abandoned);
            assert_eq!(job.attempts(), attempt);
            assert!(test.step(Obedient).await.unwrap().is_none());
            tokio::time::advance(hour).await;
        }
        assert_eq!(
            test.step(Obedient).await.unwrap().unwrap().1,
            Step::Consumed
        );
    }
}
