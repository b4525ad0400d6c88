//! What a session holds, and what it is about to: the table of its claims.
//!
//! A claim stands here before it is sent. So whatever the board shows of an owner key of this
//! session can be judged: it belongs to a claim, to one under way, to one that was settled and that
//! the board's view has not caught up with, or to nobody, and then it is given back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    protocol::{holding::Hold, keys::JobId, owner::ClaimMark, state::StateRecord},
    store::Revision,
};

/// Who holds a job at a revision, as the board's view tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The revision that was seen.
    pub(crate) at: Revision,
    /// The owner key that was there: its token, and the claim that it names.
    pub(crate) owner: Option<(Revision, Option<ClaimMark>)>,
}

/// The right to send a verb for a job: a session has one verb under way for each job. Let go when
/// the verb's answer is definite.
#[derive(Debug)]
pub(super) struct Turn {
    claims: Arc<Claims>,
    job: JobId,
    right: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.right = None;
        tidy(&mut self.claims.lock(), self.job);
    }
}

/// The claims of a session.
#[derive(Debug)]
pub(crate) struct Claims {
    session: Uuid,
    lost: CancellationToken,
    rows: Mutex<BTreeMap<JobId, Row>>,
}

#[derive(Debug, Default)]
struct Row {
    turn: Arc<tokio::sync::Mutex<()>>,
    claim: Option<Standing>,
}

#[derive(Debug)]
enum Standing {
    /// Sent, or about to be. Every owner key of the job up to `ended` is over.
    Pending { claim: Uuid, ended: Revision },
    Held {
        hold: Hold,
        lost: CancellationToken,
        /// The job's state if the claim is given back as if it had not been made.
        back: StateRecord,
    },
    /// Settled at a revision that the board's view has not been seen to reach.
    Settled { at: Revision },
}

impl Claims {
    /// The claims of `session`, which are all lost when `lost` fires.
    pub(super) fn new(session: Uuid, lost: CancellationToken) -> Self {
        Self {
            session,
            lost,
            rows: Mutex::default(),
        }
    }

    /// Waits for the turn to send a verb for `job`. Cancel safe.
    pub(super) async fn turn(self: &Arc<Self>, job: JobId) -> Turn {
        let mutex = Arc::clone(&self.lock().entry(job).or_default().turn);
        // Made first, so that a wait that is given up leaves no row behind.
        let mut turn = Turn {
            claims: Arc::clone(self),
            job,
            right: None,
        };
        turn.right = Some(mutex.lock_owned().await);
        turn
    }

    /// Enters a claim that is about to be sent. A claim of the job that is held stays as it is:
    /// then this one is going to be refused, unless that one ends meanwhile.
    pub(super) fn begin(&self, job: JobId, claim: Uuid) {
        let mut rows = self.lock();
        let row = rows.entry(job).or_default();
        if !matches!(row.claim, Some(Standing::Held { .. })) {
            row.claim = Some(Standing::Pending {
                claim,
                ended: Revision::ZERO,
            });
        }
    }

    /// Takes out a claim that has no answer, if that is how the job stands.
    pub(super) fn refuse(&self, job: JobId) {
        let mut rows = self.lock();
        if let Some(row) = rows.get_mut(&job)
            && matches!(row.claim, Some(Standing::Pending { .. }))
        {
            row.claim = None;
        }
        tidy(&mut rows, job);
    }

    /// Enters a claim that was made, and gives what fires when it is lost. If its owner key has
    /// been seen to end already, it is born lost. `back` is the job's state if it is given back.
    pub(super) fn hold(&self, hold: Hold, back: StateRecord) -> CancellationToken {
        let lost = self.lost.child_token();
        let mut rows = self.lock();
        let row = rows.entry(hold.job).or_default();
        if let Some(Standing::Pending { ended, .. }) = row.claim
            && hold.token <= ended
        {
            row.claim = None;
            lost.cancel();
        } else {
            let lost = lost.clone();
            row.claim = Some(Standing::Held { hold, lost, back });
        }
        lost
    }

    /// Takes out a claim that its owner settled at a revision.
    pub(super) fn settle(&self, job: JobId, token: Revision, at: Revision) {
        self.end(job, token, || Some(Standing::Settled { at }));
    }

    /// Takes out a claim that turned out to be over, and fires its loss.
    pub(super) fn lose(&self, job: JobId, token: Revision) {
        if let Some(lost) = self.end(job, token, || None) {
            lost.cancel();
        }
    }

    /// The claim of the job by this token, if it is held, and the job's state if it is given back.
    pub(super) fn held(&self, job: JobId, token: Revision) -> Option<(Hold, StateRecord)> {
        let rows = self.lock();
        let held = rows.get(&job)?.held()?;
        (held.0.token == token).then_some(held)
    }

    /// All that is held.
    pub(super) fn all_held(&self) -> Vec<(Hold, StateRecord)> {
        self.lock().values().filter_map(Row::held).collect()
    }

    fn end(
        &self,
        job: JobId,
        token: Revision,
        next: impl FnOnce() -> Option<Standing>,
    ) -> Option<CancellationToken> {
        let mut rows = self.lock();
        let row = rows.get_mut(&job)?;
        let lost = match &row.claim {
            Some(Standing::Held { hold, lost, .. }) if hold.token == token => lost.clone(),
            _ => return None,
        };
        row.claim = next();
        tidy(&mut rows, job);
        Some(lost)
    }

    /// Judges what the board's view shows of a job's owner key. Gives the token of a key that is of
    /// this session and belongs to nothing it knows of: it must be given back.
    pub(crate) fn see(&self, job: JobId, sighting: Sighting) -> Option<Revision> {
        let ours = sighting
            .owner
            .and_then(|(token, mark)| Some((token, mark?)))
            .filter(|(_, mark)| mark.session == self.session);
        let mut rows = self.lock();
        let Some(row) = rows.get_mut(&job) else {
            return ours.map(|(token, _)| token);
        };
        let orphan = match &mut row.claim {
            None => ours.map(|(token, _)| token),
            Some(Standing::Pending { claim, ended }) => match ours {
                Some((_, mark)) if mark.claim == *claim => None,
                Some((token, _)) => Some(token),
                None => {
                    *ended = sighting.at.max(*ended);
                    None
                }
            },
            Some(Standing::Held { hold, lost, .. }) => {
                let token = hold.token;
                if sighting.at >= token && sighting.owner.is_none_or(|(seen, _)| seen != token) {
                    lost.cancel();
                    row.claim = None;
                }
                None
            }
            Some(Standing::Settled { at }) => {
                if sighting.at < *at {
                    None
                } else {
                    row.claim = None;
                    ours.map(|(token, _)| token)
                }
            }
        };
        tidy(&mut rows, job);
        orphan
    }

    /// The jobs that have a row: what must be looked at again after the board's view was made anew.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    /// How many claims are held or under way.
    pub(crate) fn len(&self) -> usize {
        let is_claim = |row: &&Row| !matches!(row.claim, None | Some(Standing::Settled { .. }));
        self.lock().values().filter(is_claim).count()
    }

    /// Held for a few instructions only, never across an await. No holder leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn held(&self) -> Option<(Hold, StateRecord)> {
        match &self.claim {
            Some(Standing::Held { hold, back, .. }) => Some((*hold, back.clone())),
            None | Some(Standing::Pending { .. } | Standing::Settled { .. }) => None,
        }
    }
}

/// Drops the row of a job about which there is nothing to know, and which nobody waits for.
fn tidy(rows: &mut BTreeMap<JobId, Row>, job: JobId) {
    if rows
        .get(&job)
        .is_some_and(|row| row.claim.is_none() && Arc::strong_count(&row.turn) == 1)
    {
        rows.remove(&job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Uuid = Uuid::from_u128(1);
    const CLAIM: Uuid = Uuid::from_u128(2);

    fn job() -> JobId {
        JobId::new(42).unwrap()
    }

    fn revision(number: u64) -> Revision {
        Revision::new(number)
    }

    fn setup() -> Arc<Claims> {
        Arc::new(Claims::new(SESSION, CancellationToken::new()))
    }

    fn hold(claims: &Claims, token: u64) -> CancellationToken {
        let (job, posted, token) = (job(), revision(1), revision(token));
        let hold = Hold {
            job,
            posted,
            token,
            claim: Some(CLAIM),
        };
        claims.hold(hold, StateRecord::default())
    }

    fn nobody(at: u64) -> Sighting {
        Sighting {
            at: revision(at),
            owner: None,
        }
    }

    fn owner(at: u64, token: u64, session: Uuid, claim: Uuid) -> Sighting {
        let owner = Some((revision(token), Some(ClaimMark { session, claim })));
        Sighting {
            at: revision(at),
            owner,
        }
    }

    #[test]
    fn claim_is_held_until_its_owner_key_is_seen_to_end() {
        let claims = setup();
        claims.begin(job(), CLAIM);
        let lost = hold(&claims, 10);
        assert_eq!(claims.see(job(), owner(10, 10, SESSION, CLAIM)), None);
        assert!(!lost.is_cancelled());
        assert_eq!(claims.see(job(), nobody(11)), None);
        assert!(lost.is_cancelled());
        assert!(claims.jobs().is_empty());
    }

    #[test]
    fn view_from_before_the_claim_does_not_end_it() {
        let claims = setup();
        claims.begin(job(), CLAIM);
        let lost = hold(&claims, 10);
        claims.see(job(), owner(8, 8, Uuid::from_u128(9), CLAIM));
        claims.see(job(), nobody(9));
        assert!(!lost.is_cancelled());
    }

    #[test]
    fn owner_key_of_another_ends_the_claim() {
        let claims = setup();
        claims.begin(job(), CLAIM);
        let lost = hold(&claims, 10);
        claims.see(job(), owner(12, 12, Uuid::from_u128(9), Uuid::from_u128(8)));
        assert!(lost.is_cancelled());
    }

    #[test]
    fn claim_whose_key_was_seen_to_end_before_its_answer_is_born_lost() {
        let claims = setup();
        claims.begin(job(), CLAIM);
        assert_eq!(claims.see(job(), owner(10, 10, SESSION, CLAIM)), None);
        claims.see(job(), nobody(11));
        assert!(hold(&claims, 10).is_cancelled());
        assert!(!hold(&claims, 12).is_cancelled());
    }

    #[test]
    fn owner_key_of_this_session_that_belongs_to_nothing_is_to_be_given_back() {
        let claims = setup();
        let stray = owner(10, 10, SESSION, Uuid::from_u128(7));
        assert_eq!(claims.see(job(), stray), Some(revision(10)));
        claims.begin(job(), CLAIM);
        assert_eq!(claims.see(job(), stray), Some(revision(10)));
        let other = owner(10, 10, Uuid::from_u128(9), CLAIM);
        claims.refuse(job());
        assert_eq!(claims.see(job(), other), None);
    }

    #[test]
    fn late_view_of_a_settled_claim_is_not_taken_for_a_stray() {
        let claims = setup();
        claims.begin(job(), CLAIM);
        let lost = hold(&claims, 10);
        claims.settle(job(), revision(10), revision(13));
        assert_eq!(claims.see(job(), owner(10, 10, SESSION, CLAIM)), None);
        assert_eq!(claims.see(job(), nobody(13)), None);
        assert!(claims.jobs().is_empty() && !lost.is_cancelled());
    }

    #[test]
    fn refused_second_claim_leaves_the_first_as_it_is() {
        let claims = setup();
        claims.begin(job(), CLAIM);
        hold(&claims, 10);
        claims.begin(job(), Uuid::from_u128(3));
        claims.refuse(job());
        assert!(claims.held(job(), revision(10)).is_some());
    }

    #[test]
    fn every_claim_is_lost_with_the_session() {
        let session = CancellationToken::new();
        let claims = Claims::new(SESSION, session.clone());
        claims.begin(job(), CLAIM);
        let lost = hold(&claims, 10);
        session.cancel();
        assert!(lost.is_cancelled());
    }

    #[tokio::test]
    async fn turns_for_one_job_come_one_after_the_other() {
        let claims = setup();
        let first = claims.turn(job()).await;
        let second = claims.turn(job());
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures::poll!(&mut second).is_ready());
    }

    #[tokio::test]
    async fn no_row_stays_behind_when_nobody_waits() {
        let claims = setup();
        let turn = claims.turn(job()).await;
        claims.begin(job(), CLAIM);
        claims.refuse(job());
        assert!(futures::poll!(Box::pin(claims.turn(job()))).is_pending());
        drop(turn);
        assert!(claims.jobs().is_empty());
    }
}
