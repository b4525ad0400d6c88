//! Claims that are released by force, whatever becomes of the answers.

use super::*;
use crate::protocol::{
    claim::ClaimRefusal,
    release::{Release, ReleaseOf},
    verb::Moved,
};

impl Bundle {
    /// A session of somebody else's.
    async fn operator(&self) -> Arc<Session> {
        let terms = self.parts.settings.terms();
        Session::open(&self.parts, terms, deadline()).await.unwrap()
    }

    /// The verb that releases the job, as it stands now.
    async fn release(&self) -> Release {
        let owner = self.part(JobPart::Owner).await.unwrap();
        let state = self.part(JobPart::State).await.unwrap();
        let mark = OwnerRecord::read(&owner.value).unwrap().mark.unwrap();
        let record = StateRecord::read(&state.value).unwrap();
        let of = ReleaseOf {
            job: self.job,
            token: owner.create_revision,
            session: owner.lease.map(|lease| (mark, lease)),
            seen: state.mod_revision,
            next: Some(record.released(Some(mark.claim)).write()),
        };
        Release::new(&self.keys, of)
    }

    async fn release_by(&self, operator: &Session) -> Result<Revision, Moved> {
        let release = self.release().await;
        operator.write(release, deadline()).await.unwrap()
    }

    async fn mark(&self) -> Option<store::KeyValue> {
        let mark = self.keys.released(self.session.id(), self.job);
        self.store.memory.get(mark).await.unwrap()
    }

    /// Polls `call` until the fault has struck its transaction.
    async fn until_struck(&self, mut call: impl Future + Unpin) {
        while !self.store.next.lock().unwrap().is_empty() {
            assert!(futures::poll!(&mut call).is_pending());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn release_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let _held = board.held().await;
        let operator = board.operator().await;
        board.fault(fault);
        board.release_by(&operator).await.unwrap();
        assert_eq!(board.part(JobPart::Owner).await, None, "{fault:?}");
        let state = board.state().await;
        assert_eq!(
            (state.attempts, state.unsettled, state.claim),
            (0, 0, None),
            "{fault:?}"
        );
        let mark = board.mark().await.unwrap();
        let lease = board.session.guard.lease();
        assert_eq!((mark.lease, mark.version), (Some(lease), 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn consume_of_a_released_owner_is_not_taken_for_done_when_another_consumed_the_job() {
    let board = setup().await;
    let held = board.held().await;
    let operator = board.operator().await;
    board.fault(Some(Fault::Stalled));
    let mut consuming = Box::pin(board.consume(&held));
    board.until_struck(&mut consuming).await;

    board.release_by(&operator).await.unwrap();
    let all = board.keys.all_of_job(board.job);
    board.store.memory.delete(all).await.unwrap();
    consuming.await.unwrap_err();
    assert!(held.lost().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn consume_that_came_before_the_release_is_done() {
    let board = setup().await;
    let held = board.held().await;
    let operator = board.operator().await;
    let release = board.release().await;
    board.fault(Some(Fault::Unheard));
    let mut consuming = Box::pin(board.consume(&held));
    board.until_struck(&mut consuming).await;

    let late = operator.write(release, deadline()).await.unwrap();
    assert_eq!(late, Err(Moved));
    consuming.await.unwrap();
    assert_eq!(board.mark().await, None);
}

#[tokio::test(start_paused = true)]
async fn claim_that_is_released_before_it_was_answered_is_lost() {
    let board = setup().await;
    let posted = board.post().await;
    let operator = board.operator().await;
    let request = ClaimRequest {
        job: board.job,
        posted,
        seen: &SeenState::default(),
        who: "worker-3",
        now: DateTime::UNIX_EPOCH,
    };
    board.fault(Some(Fault::Unheard));
    let claiming = board.session.claim(&request, Stake::default(), deadline());
    let mut claiming = Box::pin(claiming);
    board.until_struck(&mut claiming).await;

    board.release_by(&operator).await.unwrap();
    let refused = claiming.await.unwrap().unwrap_err();
    assert_eq!(refused, ClaimRefusal::Released);
    assert_eq!(board.part(JobPart::Owner).await, None);
    assert_eq!(board.state().await.attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn release_whose_owner_has_no_lease_any_more_is_refused_and_harms_no_session() {
    let board = setup().await;
    let _held = board.held().await;
    let operator = board.operator().await;
    let release = board.release().await;
    // Written again without its lease, the owner key stays when that ends.
    let owner = board.part(JobPart::Owner).await.unwrap();
    let store = &board.store.memory;
    store.put(owner.key, owner.value).await.unwrap();
    store.revoke(board.session.guard.lease()).await.unwrap();

    let refused = operator.write(release, deadline()).await.unwrap_err();
    let WriteError::Refused(error) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(error.kind(), ErrorKind::LeaseNotFound);
    assert!(operator.is_trusted());
    assert!(board.part(JobPart::Owner).await.is_some());
    board.release_by(&operator).await.unwrap();
    assert_eq!(board.part(JobPart::Owner).await, None);
    assert_eq!(board.mark().await, None);
}
