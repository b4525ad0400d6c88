//! What a session holds, and what it is about to: the table of its claims.
//!
//! A claim stands here before it is sent. So whatever the board's view shows of an owner key of this
//! session can be judged: it belongs to a claim, to one under way, to one that was settled and that
//! the view has not caught up with, or to nobody, and then it is given back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{own::Stake, settle::Ending};
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

impl Sighting {
    /// Whether it shows that the owner key of `token` has ended.
    fn ends(&self, token: Revision) -> bool {
        self.at >= token && self.owner.is_none_or(|(seen, _)| seen != token)
    }
}

/// An owner key of this session that belongs to nothing it knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) job: JobId,
    pub(crate) token: Revision,
    pub(crate) claim: Uuid,
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
    pending: Option<Pending>,
    standing: Option<Standing>,
}

/// A claim that was sent, or is about to be.
#[derive(Debug)]
struct Pending {
    claim: Uuid,
    /// Every other owner key of the job up to this revision has been seen to be over, and this
    /// claim's too if it is not the one that was seen.
    ended: Revision,
    stake: Stake,
}

/// The last claim that was made.
#[derive(Debug)]
enum Standing {
    Held {
        hold: Hold,
        signals: Signals,
        /// The job's state if the claim is given back as if it had not been made.
        back: Box<StateRecord>,
        /// A verb that can end it is under way: its answer tells why the owner key ended.
        settling: bool,
        /// The owner key has been seen to end while that verb was under way.
        gone: bool,
        /// Given up with the claim.
        _stake: Stake,
    },
    /// It was settled, and the view has not been seen to show that.
    Settled { token: Revision },
}

/// What the holder of a claim is told.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// Fires when the job is no longer held.
    pub(super) lost: CancellationToken,
    /// Fires when work on the job is to stop: with the claim, or as somebody asks for it.
    pub(super) stop: CancellationToken,
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

    /// Enters a claim that is about to be sent, with its stake in the session.
    pub(super) fn begin(&self, job: JobId, claim: Uuid, stake: Stake) {
        let pending = Pending {
            claim,
            ended: Revision::ZERO,
            stake,
        };
        self.lock().entry(job).or_default().pending = Some(pending);
    }

    /// Takes out a claim that was about to be sent, if it has not been made.
    pub(super) fn refuse(&self, job: JobId) {
        let mut rows = self.lock();
        if let Some(row) = rows.get_mut(&job) {
            row.pending = None;
        }
        tidy(&mut rows, job);
    }

    /// Enters a claim that was made, and gives what fires when it is lost. If its owner key has
    /// been seen to end already, it is born lost. `back` is the job's state if it is given back.
    pub(super) fn hold(&self, hold: Hold, back: StateRecord) -> Signals {
        let lost = self.lost.child_token();
        let stop = lost.child_token();
        let signals = Signals { lost, stop };
        let over = {
            let mut rows = self.lock();
            let row = rows.entry(hold.job).or_default();
            let (ended, stake) = match row.pending.take() {
                Some(pending) => (pending.ended, pending.stake),
                None => (Revision::ZERO, Stake::default()),
            };
            if hold.token <= ended {
                Some(signals.lost.clone())
            } else {
                let held = Standing::Held {
                    hold,
                    signals: signals.clone(),
                    back: back.into(),
                    settling: false,
                    gone: false,
                    _stake: stake,
                };
                row.standing.replace(held).and_then(Standing::into_lost)
            }
        };
        fire(over);
        signals
    }

    /// Tells the holder of a job, if it is held, that work on it is to stop.
    pub(super) fn stop(&self, job: JobId) {
        let stop = match self.lock().get(&job).and_then(|row| row.standing.as_ref()) {
            Some(Standing::Held { signals, .. }) => Some(signals.stop.clone()),
            None | Some(Standing::Settled { .. }) => None,
        };
        fire(stop);
    }

    /// Notes that a verb that can end a claim is under way.
    pub(super) fn begin_to_settle(&self, job: JobId, token: Revision) {
        let mut rows = self.lock();
        let standing = rows.get_mut(&job).and_then(|row| row.standing.as_mut());
        if let Some(Standing::Held { hold, settling, .. }) = standing
            && hold.token == token
        {
            *settling = true;
        }
    }

    /// Notes what became of a claim by such a verb; `None` if that is not known.
    pub(super) fn settle(&self, job: JobId, token: Revision, ending: Option<Ending>) {
        let over = {
            let mut rows = self.lock();
            let Some(row) = rows.get_mut(&job) else {
                return;
            };
            let Some(Standing::Held {
                hold,
                settling,
                gone,
                ..
            }) = &mut row.standing
            else {
                return;
            };
            if hold.token != token {
                return;
            }
            *settling = false;
            let next = match (ending, *gone) {
                (None | Some(Ending::Stands), false) => return,
                (Some(Ending::Settled), false) => Some(Standing::Settled { token }),
                (_, true) | (Some(Ending::Lost), false) => None,
            };
            let over = std::mem::replace(&mut row.standing, next).and_then(Standing::into_lost);
            tidy(&mut rows, job);
            over
        };
        fire(over);
    }

    /// The claim of the job by this token, if it is held, and the job's state if it is given back.
    pub(super) fn held(&self, job: JobId, token: Revision) -> Option<(Hold, StateRecord)> {
        let rows = self.lock();
        let (hold, back) = rows.get(&job)?.held()?;
        (hold.token == token).then(|| (*hold, back.clone()))
    }

    /// Whether the job is held by this token.
    pub(super) fn holds(&self, job: JobId, token: Revision) -> bool {
        let rows = self.lock();
        rows.get(&job)
            .and_then(Row::held)
            .is_some_and(|(hold, _)| hold.token == token)
    }

    /// Tells the holders of all claims that they are over, and gives the claims, which are still to
    /// be given back.
    pub(super) fn lose_all(&self) -> Vec<Hold> {
        let (held, over): (Vec<_>, Vec<_>) = {
            let rows = self.lock();
            let held = rows.values().filter_map(|row| match &row.standing {
                Some(Standing::Held { hold, signals, .. }) => Some((*hold, signals.lost.clone())),
                None | Some(Standing::Settled { .. }) => None,
            });
            held.unzip()
        };
        fire(over);
        held
    }

    /// The jobs of which a claim is under way.
    pub(super) fn under_way(&self) -> Vec<JobId> {
        let rows = self.lock();
        let under_way = rows.iter().filter(|(_, row)| row.pending.is_some());
        under_way.map(|(job, _)| *job).collect()
    }

    /// Judges what the board's view shows of a job's owner key.
    pub(super) fn see(&self, job: JobId, sighting: Sighting) -> Option<Stray> {
        let ours = sighting.owner.and_then(|(token, mark)| {
            let mark = mark.filter(|mark| mark.session == self.session)?;
            Some(Stray {
                job,
                token,
                claim: mark.claim,
            })
        });
        let mut rows = self.lock();
        let Some(row) = rows.get_mut(&job) else {
            return ours;
        };
        let stray = ours.filter(|ours| !row.knows(ours));
        if let Some(pending) = &mut row.pending
            && ours.is_none_or(|ours| ours.claim != pending.claim)
        {
            pending.ended = sighting.at.max(pending.ended);
        }
        let over = row.see(&sighting);
        tidy(&mut rows, job);
        drop(rows);
        fire(over);
        stray
    }

    /// The jobs that have a row: what must be looked at again after the board's view was made anew.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    /// How many jobs are held or have a verb under way, or were settled a moment ago.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Held for a few instructions only, never across an await, and not while a loss is told. No
    /// holder leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn held(&self) -> Option<(&Hold, &StateRecord)> {
        match &self.standing {
            Some(Standing::Held { hold, back, .. }) => Some((hold, &**back)),
            None | Some(Standing::Settled { .. }) => None,
        }
    }

    /// Whether an owner key is that of the pending claim, of the last one, or of one before it.
    fn knows(&self, key: &Stray) -> bool {
        let last = match &self.standing {
            Some(Standing::Held { hold, .. }) => hold.token,
            Some(Standing::Settled { token }) => *token,
            None => Revision::ZERO,
        };
        key.token <= last
            || self
                .pending
                .as_ref()
                .is_some_and(|it| it.claim == key.claim)
    }

    /// Takes in what the view shows of the last claim; gives what is to be fired if it is over.
    fn see(&mut self, sighting: &Sighting) -> Option<CancellationToken> {
        match &mut self.standing {
            Some(Standing::Held {
                hold,
                settling: true,
                gone,
                ..
            }) => {
                *gone |= sighting.ends(hold.token);
                None
            }
            Some(
                Standing::Held {
                    hold: Hold { token, .. },
                    ..
                }
                | Standing::Settled { token },
            ) if sighting.ends(*token) => self.standing.take().and_then(Standing::into_lost),
            None | Some(_) => None,
        }
    }
}

impl Standing {
    fn into_lost(self) -> Option<CancellationToken> {
        match self {
            Self::Held { signals, .. } => Some(signals.lost),
            Self::Settled { .. } => None,
        }
    }
}

/// Tells holders that their claims are over. Not under the lock: who is told can act at once.
fn fire(over: impl IntoIterator<Item = CancellationToken>) {
    for lost in over {
        lost.cancel();
    }
}

/// Drops the row of a job about which there is nothing to know, and which nobody waits for.
fn tidy(rows: &mut BTreeMap<JobId, Row>, job: JobId) {
    let idle = |row: &Row| {
        row.pending.is_none() && row.standing.is_none() && Arc::strong_count(&row.turn) == 1
    };
    if rows.get(&job).is_some_and(idle) {
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
        claims.hold(hold, StateRecord::default()).lost
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
        claims.begin(job(), CLAIM, Stake::default());
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
        claims.begin(job(), CLAIM, Stake::default());
        let lost = hold(&claims, 10);
        claims.see(job(), owner(8, 8, Uuid::from_u128(9), CLAIM));
        claims.see(job(), nobody(9));
        assert!(!lost.is_cancelled());
    }

    #[test]
    fn owner_key_of_another_ends_the_claim() {
        let claims = setup();
        claims.begin(job(), CLAIM, Stake::default());
        let lost = hold(&claims, 10);
        claims.see(job(), owner(12, 12, Uuid::from_u128(9), Uuid::from_u128(8)));
        assert!(lost.is_cancelled());
    }

    #[test]
    fn claim_whose_key_was_seen_to_end_before_its_answer_is_born_lost() {
        let claims = setup();
        claims.begin(job(), CLAIM, Stake::default());
        assert_eq!(claims.see(job(), owner(10, 10, SESSION, CLAIM)), None);
        claims.see(job(), nobody(11));
        assert!(hold(&claims, 10).is_cancelled());
        assert!(!hold(&claims, 12).is_cancelled());
    }

    #[test]
    fn owner_key_of_this_session_that_belongs_to_nothing_is_to_be_given_back() {
        let claims = setup();
        let stray = owner(10, 10, SESSION, Uuid::from_u128(7));
        assert_eq!(
            claims.see(job(), stray).map(|stray| stray.token),
            Some(revision(10))
        );
        claims.begin(job(), CLAIM, Stake::default());
        assert_eq!(
            claims.see(job(), stray).map(|stray| stray.token),
            Some(revision(10))
        );
        let other = owner(10, 10, Uuid::from_u128(9), CLAIM);
        claims.refuse(job());
        assert_eq!(claims.see(job(), other), None);
    }

    #[test]
    fn late_view_of_a_settled_claim_is_not_taken_for_a_stray() {
        let claims = setup();
        claims.begin(job(), CLAIM, Stake::default());
        let lost = hold(&claims, 10);
        claims.settle(job(), revision(10), Some(Ending::Settled));
        assert!(lost.is_cancelled());
        assert_eq!(claims.see(job(), owner(10, 10, SESSION, CLAIM)), None);
        assert_eq!(claims.see(job(), nobody(13)), None);
        assert!(claims.jobs().is_empty());
    }

    #[test]
    fn refused_second_claim_leaves_the_first_as_it_is() {
        let claims = setup();
        claims.begin(job(), CLAIM, Stake::default());
        hold(&claims, 10);
        claims.begin(job(), Uuid::from_u128(3), Stake::default());
        claims.refuse(job());
        assert!(claims.holds(job(), revision(10)));
    }

    #[test]
    fn end_of_the_key_is_judged_by_the_verb_that_is_under_way() {
        let claims = setup();
        for ending in [
            Some(Ending::Settled),
            Some(Ending::Lost),
            Some(Ending::Stands),
            None,
        ] {
            claims.begin(job(), CLAIM, Stake::default());
            let lost = hold(&claims, 10);
            claims.begin_to_settle(job(), revision(10));
            claims.see(job(), nobody(11));
            assert!(!lost.is_cancelled());
            claims.settle(job(), revision(10), ending);
            assert!(lost.is_cancelled());
            assert!(claims.jobs().is_empty());
        }
    }

    #[test]
    fn claim_stands_if_its_verb_did_nothing() {
        let claims = setup();
        claims.begin(job(), CLAIM, Stake::default());
        let lost = hold(&claims, 10);
        claims.begin_to_settle(job(), revision(10));
        claims.settle(job(), revision(10), None);
        assert!(!lost.is_cancelled());
        claims.see(job(), nobody(11));
        assert!(lost.is_cancelled());
    }

    #[test]
    fn later_claim_of_the_session_ends_the_one_before() {
        let claims = setup();
        claims.begin(job(), CLAIM, Stake::default());
        let first = hold(&claims, 10);
        claims.begin(job(), Uuid::from_u128(3), Stake::default());
        let second = hold(&claims, 12);
        assert!(first.is_cancelled() && !second.is_cancelled());
        assert_eq!(claims.see(job(), owner(10, 10, SESSION, CLAIM)), None);
        assert!(!second.is_cancelled());
    }

    #[test]
    fn every_claim_is_lost_with_the_session() {
        let session = CancellationToken::new();
        let claims = Claims::new(SESSION, session.clone());
        claims.begin(job(), CLAIM, Stake::default());
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
        claims.begin(job(), CLAIM, Stake::default());
        claims.refuse(job());
        assert!(futures::poll!(Box::pin(claims.turn(job()))).is_pending());
        drop(turn);
        assert!(claims.jobs().is_empty());
    }
}
