//! Posting jobs.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{Job, JobBoard, NewJob, claiming::AT_ONCE, failure, unique::Standing};
use crate::{
    cache::Entry,
    error::{Error, ErrorKind, Result},
    protocol::post::{Post, PostRefusal},
};

impl JobBoard {
    /// Posts a job. If it has a [unique key](NewJob::unique) that a job on the board holds, that job is
    /// given instead, and [says so](Job::existed).
    ///
    /// # Guarantees
    /// If this returns, the job is in etcd, and everybody sees it soon. [`jobs`](Self::jobs) shows
    /// it when the view has come so far, a moment later; [`fresh_jobs`](Self::fresh_jobs) shows it
    /// for certain. Of many posts of one unique key, whoever makes them, one comes onto the board, for
    /// as long as that job is there: consumed or trashed, it lets the key go.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if a limit is passed, [`Corrupt`](ErrorKind::Corrupt) if the job
    /// that has the unique key can not be read, [`Closed`](ErrorKind::Closed),
    /// [`Denied`](ErrorKind::Denied), [`Unavailable`](ErrorKind::Unavailable), and
    /// [`Unknown`](ErrorKind::Unknown) if etcd stayed out of reach past the deadline.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let nightly = || NewJob::new("report").unique("report of 31 January");
    /// let first = board.post(nightly()).await?;
    /// let second = board.post(nightly()).await?;
    /// assert_eq!((first.existed(), second.existed()), (false, true));
    /// assert_eq!(second.id(), first.id());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn post(&self, new: NewJob) -> Result<Job> {
        let doing = format!("post {:?}", new.name());
        let connection = self.connection_to_write(&doing)?;
        let deadline = self.deadline();
        let posting = new.posting(self.0.random.uuid(), self.0.clock.now())?;
        let unique = posting.terms.unique.as_deref().unwrap_or_default();
        let mut number = connection.numbers().next(deadline).await?;
        let mut stale = None;
        loop {
            let post = Post::new(&self.0.keys, number, &posting).taking_over(stale.take());
            let record = post.record().clone();
            let posted = connection.pool().write(post, deadline).await;
            match posted.map_err(|error| failure::of_write(&doing, error))? {
                Ok(posted) => {
                    let entry = Entry::posted(number, posted, record)
                        .map_err(|why| Error::new(ErrorKind::Corrupt, &doing, why.to_string()))?;
                    return Ok(self.job_of(Arc::new(entry)));
                }
                Err(PostRefusal::Occupied) => number = connection.numbers().next(deadline).await?,
                Err(PostRefusal::NotUnique(found)) => {
                    match self.standing(unique, &found, deadline, &doing).await? {
                        Standing::Free => {}
                        Standing::Stale(now) => stale = Some(now),
                        Standing::Held(entry) => {
                            let existed = true;
                            return Ok(Job {
                                existed,
                                ..self.job_of(entry)
                            });
                        }
                    }
                }
            }
        }
    }

    /// Posts many jobs, each as [`post`](Self::post) does, many at once. Gives what came of each, in
    /// their order; on the board their order is that in which etcd took them, which is only about
    /// the same. Dropping this leaves on the board what was posted.
    pub async fn post_many(&self, jobs: impl IntoIterator<Item = NewJob>) -> Vec<Result<Job>> {
        let jobs: Vec<_> = jobs.into_iter().collect();
        let posts = jobs.into_iter().map(|job| self.post(job));
        stream::iter(posts).buffered(AT_ONCE).collect().await
    }
}
