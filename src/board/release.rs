//! Taking a job from its owner by force.

use tokio::time::Instant;
use uuid::Uuid;

use super::{JobBoard, failure, reading::JobKeys};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::JobId,
        limits::check_reason,
        owner::OwnerRecord,
        release::{Release, ReleaseOf},
        state::SeenState,
    },
    session::WriteError,
    store::{self, Revision},
};

/// Who holds a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The name of the owner; `None` if it can not be read.
    pub name: Option<String>,
    /// The fencing token of its claim: what [`JobBoard::release`] is to be given.
    pub token: Revision,
    /// The session that holds the job; `None` for an owner that is not of this library, TaskFlow's.
    pub session: Option<Uuid>,
    /// Whether the job comes back by itself when the owner dies. A TaskFlow client that was given no
    /// time to live holds its jobs until somebody releases them.
    pub leased: bool,
}

impl JobBoard {
    /// Who holds the job of this number, as far as the board's view has come; whether or not the job
    /// itself can be read.
    pub fn holder(&self, job: JobId) -> Option<Holder> {
        let holder = self.reader()?.holder(job)?;
        let record = holder.record.as_ref();
        Some(Holder {
            name: record.map(|record| record.owner.clone()),
            token: holder.token,
            session: record.and_then(|record| record.mark.map(|mark| mark.session)),
            leased: holder.leased,
        })
    }

    /// Takes a job from its owner by force, for others to claim: `token` is that of the
    /// [holder](Self::holder) from whom it is to be taken, and `reason` is why, at most 4 KiB. For
    /// operators; a job whose owner died comes back by itself.
    ///
    /// # Guarantees
    /// A job that has another owner by now stays as it is. The owner that lost the job can change
    /// nothing any more, and is told ([`Claim::lost`](super::Claim::lost)). Its try is not counted.
    ///
    /// # Caveats
    /// An owner that runs on does so until it learns of it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if nobody holds such a job, [`Claimed`](ErrorKind::Claimed)
    /// if somebody does by another token, [`Invalid`](ErrorKind::Invalid) for an over-long reason, and
    /// those of [`post`](Self::post).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let job = board.post(NewJob::new("thumbnail")).await?;
    /// let claim = board.claim(&job, "worker-7").await?;
    /// board.fresh_jobs().await?;
    ///
    /// let holder = board.holder(job.id()).unwrap();
    /// assert_eq!(holder.name.as_deref(), Some("worker-7"));
    /// board.release(job.id(), holder.token, Some("it hangs")).await?;
    /// claim.lost().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn release(
        &self,
        job: JobId,
        token: Revision,
        reason: Option<&str>,
    ) -> Result<Revision> {
        let doing = format!("release job {job}");
        check_reason(&doing, reason)?;
        let connection = self.connection_to_write(&doing)?;
        let deadline = self.deadline();
        // Whether one was sent whose session ended before it was answered.
        let mut sent = false;
        loop {
            let now = match self.read_job(job, &doing, deadline).await {
                Err(error) if sent => {
                    let why = "it was sent, and what became of it could not be read";
                    return Err(Error::new(ErrorKind::Unknown, &doing, why).with_source(error));
                }
                now => now?,
            };
            let verb = match now.release(job, token, reason) {
                Ok(of) => Release::new(&self.0.keys, of),
                Err(_) if sent => return Ok(now.at),
                Err((kind, why)) => {
                    let error = Error::new(kind, &doing, why);
                    return Err(match now.owner_name() {
                        Some(owner) => error.with_owner(owner),
                        None => error,
                    });
                }
            };
            let session = connection.pool().session(deadline).await;
            let session = session.map_err(|error| failure::of_write(&doing, error))?;
            match session.write(verb, deadline).await {
                Ok(Ok(at)) => return Ok(at),
                Ok(Err(_moved)) => {}
                Err(WriteError::NotSent) => {}
                Err(WriteError::Lost) => sent = true,
                // The owner's lease is gone, and its key with it.
                Err(WriteError::Refused(error))
                    if error.kind() == store::ErrorKind::LeaseNotFound
                        && Instant::now() < deadline => {}
                Err(error) => return Err(failure::of_write(&doing, error)),
            }
        }
    }
}

impl JobKeys {
    /// What there is to release of `token`'s, or why that can not be.
    fn release(
        &self,
        job: JobId,
        token: Revision,
        reason: Option<&str>,
    ) -> Result<ReleaseOf, (ErrorKind, String)> {
        let Some(owner) = &self.owner else {
            return Err((ErrorKind::NotFound, "nobody holds such a job".to_owned()));
        };
        if owner.create_revision != token {
            let who = self.owner_name().unwrap_or_else(|| "somebody".to_owned());
            return Err((
                ErrorKind::Claimed,
                format!("held by {who} under another token"),
            ));
        }
        let mark = OwnerRecord::read(&owner.value).ok().and_then(|it| it.mark);
        // One that can not be read is left as it is, and an owner key without a job gets none.
        let seen = SeenState::read(self.state.as_ref()).ok();
        let seen = seen.filter(|_| self.data.is_some());
        let next = seen.map(|seen| {
            let released = seen.record.released(mark.map(|mark| mark.claim));
            released.because(reason.map(str::to_owned)).write()
        });
        Ok(ReleaseOf {
            job,
            token,
            session: mark.zip(owner.lease),
            seen: self
                .state
                .as_ref()
                .map_or(Revision::ZERO, |state| state.mod_revision),
            next,
        })
    }

    /// The name of the owner, if there is one and it can be read.
    pub(super) fn owner_name(&self) -> Option<String> {
        let owner = OwnerRecord::read(&self.owner.as_ref()?.value).ok()?;
        Some(owner.owner)
    }
}
