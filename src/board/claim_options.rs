//! How a claim is to be made.

use std::time::Duration;

use super::{Claim, Job, JobBoard};
use crate::{
    error::Result,
    session::{LeaseTerms, Renewal, Settings},
};

/// What is special about a claim; by default, nothing.
///
/// Each of these gives the claim a session of its own, that ends with it: a lease, and two more
/// requests when it is made. They are for the few jobs that need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct ClaimOptions {
    ttl: Option<Duration>,
    manual_renewal: bool,
}

impl ClaimOptions {
    /// Nothing special.
    pub const fn new() -> Self {
        Self {
            ttl: None,
            manual_renewal: false,
        }
    }

    /// How long the job stays held without a word from its owner. At least 2 s, at most a day; etcd
    /// gives whole seconds, and can give more. Defaults to the board's
    /// [ttl](super::JobBoardBuilder::ttl).
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Keeps the claim alive by nothing but [`Claim::renew`]: so an owner that hangs loses its job
    /// as well as one that died. Defaults to a claim that this library keeps alive.
    pub const fn manual_renewal(mut self) -> Self {
        self.manual_renewal = true;
        self
    }

    /// The terms of the claim's own session; `None` if it needs none.
    pub(super) fn terms(&self, doing: &str, settings: &Settings) -> Result<Option<LeaseTerms>> {
        if *self == Self::new() {
            return Ok(None);
        }
        let ttl = self.ttl.unwrap_or(settings.ttl);
        settings.check_ttl(doing, ttl)?;
        let renewal = if self.manual_renewal {
            Renewal::ByHand
        } else {
            Renewal::BySession
        };
        Ok(Some(LeaseTerms { ttl, renewal }))
    }
}

impl JobBoard {
    /// As [`claim`](Self::claim), in a special way.
    ///
    /// # Errors
    /// Those of [`claim`](Self::claim), and [`Invalid`](crate::ErrorKind::Invalid) for a time to live
    /// that can not be, or of which the board's [margin](super::JobBoardBuilder::margin) leaves
    /// nothing.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use std::time::Duration;
    ///
    /// use jobboard::{ClaimOptions, JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("films").connect().await?;
    /// let job = board.post(NewJob::new("cut")).await?;
    ///
    /// let options = ClaimOptions::new().ttl(Duration::from_mins(5)).manual_renewal();
    /// let claim = board.claim_with(&job, "cutter", options).await?;
    /// for _scene in 0..3 {
    ///     // Something that can take minutes; who hangs in it loses the job.
    ///     claim.renew().await?;
    ///     assert!(claim.expires_in() > Duration::from_mins(4));
    /// }
    /// claim.consume().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn claim_with(&self, job: &Job, who: &str, options: ClaimOptions) -> Result<Claim> {
        let own = options.terms(&format!("claim job {}", job.id()), &self.0.settings)?;
        self.claim_on(job, who, own).await
    }
}
