//! How a watch that says nothing is told from one that has nothing to say.
//!
//! A watch can stay open and silent although its range changes: some versions of etcd lose events
//! or starve a stream. So a feed whose watch was silent for a while asks the store, each question
//! only if the one before left a doubt:
//!
//! 1. Has the store moved at all? One key is asked for, by its number alone; the answer's header
//!    carries the revision. On an idle cluster that is all there ever is.
//! 2. Has the range as many keys as the feed counted? Posts, claims and settles all change it.
//! 3. Is every key of the range older than the revision that was applied? With the second, this is
//!    proof that nothing changed. It costs the store a pass over the range, though no bytes on
//!    the wire, and so is asked ever more rarely while nothing changes.
//!
//! A watch that is found behind has a grace to catch up; then it is opened anew, and if that one
//! is silent too, the range is listed anew. A watch that is opened anew for nothing does no harm.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::retry::jittered;
use crate::{
    random::Random,
    store::{
        Compare, ErrorKind, KeyRange, Op, OpResponse, RangeRequest, Relation, Result, Revision,
        Store, Target, Txn,
    },
};

/// How long a watch can be silent before the store is asked, and again between questions; up to a
/// half more by chance.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(10);

/// How long a watch that was found behind has to catch up.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The third question is asked in the rounds 1, 2, 4, 8 and so on of a silence, and in each round
/// divisible by this: every five minutes or so.
const PROOF_EVERY: u32 = 24;

/// Where a feed is: what it has applied of which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The cluster.
    pub(super) cluster_id: u64,
    /// The revision that was applied last.
    pub(super) applied: Revision,
    /// How many keys the range has at that revision.
    pub(super) keys: usize,
}

/// The silence of one watch since its last word.
pub(super) struct Silence {
    round: u32,
    /// Up to here it is proven that nothing was missed.
    settled: Revision,
    next: Next,
}

/// What comes next if the watch stays silent.
enum Next {
    Ask(Instant),
    Answer(BoxFuture<'static, Result<Answer>>),
    GiveUp(Instant),
}

/// What the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing was missed up to this revision.
    Settled(Revision),
    /// Nothing speaks for it that anything was missed.
    Unsuspicious,
    /// The range changed.
    Behind,
    /// The store is another one, or was set back.
    OtherHistory,
}

/// What a feed has to do about a silent watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on waiting.
    Wait,
    /// Give it up: the range changed, and it did not tell.
    Stalled,
    /// Nothing that was applied holds any more.
    OtherHistory,
}

impl Silence {
    /// A silence that begins now, at a feed that has applied `applied`.
    pub(super) fn new(applied: Revision, random: &Random) -> Self {
        Self {
            round: 0,
            settled: applied,
            next: Next::Ask(Instant::now() + jittered(random, ASK_AFTER)),
        }
    }

    /// Waits for what is next to be done about the silence, and does it. Cancel safe: an answer
    /// that was waited for is waited for again.
    ///
    /// # Errors
    /// Why the store could not be asked.
    pub(super) async fn go_on(
        &mut self,
        store: &Arc<dyn Store>,
        range: &KeyRange,
        place: Place,
        random: &Random,
    ) -> Result<Verdict> {
        match &mut self.next {
            Next::Ask(at) => {
                sleep_until(*at).await;
                self.round = self.round.saturating_add(1);
                let proof = self.round.is_power_of_two() || self.round.is_multiple_of(PROOF_EVERY);
                let (store, range, settled) = (Arc::clone(store), range.clone(), self.settled);
                let answer = async move { ask(&*store, range, place, settled, proof).await };
                self.next = Next::Answer(Box::pin(answer));
                return Ok(Verdict::Wait);
            }
            Next::Answer(answer) => match answer.await? {
                Answer::Settled(at) => self.settled = at,
                Answer::Unsuspicious => {}
                Answer::Behind => {
                    self.next = Next::GiveUp(Instant::now() + GRACE);
                    return Ok(Verdict::Wait);
                }
                Answer::OtherHistory => return Ok(Verdict::OtherHistory),
            },
            Next::GiveUp(at) => {
                sleep_until(*at).await;
                return Ok(Verdict::Stalled);
            }
        }
        self.next = Next::Ask(Instant::now() + jittered(random, ASK_AFTER));
        Ok(Verdict::Wait)
    }
}

async fn ask(
    store: &dyn Store,
    range: KeyRange,
    place: Place,
    settled: Revision,
    proof: bool,
) -> Result<Answer> {
    let one = RangeRequest::new(range.start().clone()).count_only();
    let header = store.range(one).await?.header;
    if header.cluster_id != place.cluster_id || header.revision < place.applied {
        return Ok(Answer::OtherHistory);
    }
    if header.revision <= settled {
        return Ok(Answer::Settled(settled));
    }
    let count = RangeRequest::new(range.clone()).count_only();
    if store.range(count.clone()).await?.count != place.keys {
        return Ok(Answer::Behind);
    }
    if !proof {
        return Ok(Answer::Unsuspicious);
    }
    let newer = Target::ModRevision(place.applied.next());
    let proof = Txn::new()
        .when([Compare::new(range, Relation::Less, newer)])
        .then([Op::Range(count)]);
    let response = match store.txn(proof).await {
        // etcd 3.5 refuses transactions that only read too, once its space is used up.
        Err(error) if error.kind() == ErrorKind::NoSpace => return Ok(Answer::Unsuspicious),
        response => response?,
    };
    let counted = response.responses.first().and_then(OpResponse::as_range);
    let all_there = counted.is_some_and(|range| range.count == place.keys);
    Ok(if response.succeeded && all_there {
        Answer::Settled(response.header.revision)
    } else {
        Answer::Behind
    })
}
