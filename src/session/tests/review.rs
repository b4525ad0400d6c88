//! Restoring, purging and quarantining whatever becomes of the answers.

use super::*;
use crate::protocol::{
    purge::Purge,
    quarantine::Quarantine,
    restore::{Restore, RestoreRefusal},
    trashed::{Place, TrashRecord},
};

impl Bundle {
    /// A trashed job, as it lies in the trash.
    async fn trashed(&self) -> store::KeyValue {
        let record = self.posting.record(self.job);
        let place = self.keys.trash(self.job, 0);
        self.store.memory.put(place, record).await.unwrap();
        self.in_trash().await.unwrap()
    }

    async fn in_trash(&self) -> Option<store::KeyValue> {
        let place = self.keys.trash(self.job, 0);
        self.store.memory.get(place).await.unwrap()
    }

    fn restore(&self, trashed: &store::KeyValue) -> Restore {
        let record = TrashRecord::read(trashed.value.clone()).unwrap();
        Restore::new(&self.keys, self.job, Place::of(trashed), &record).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn restore_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let trashed = board.trashed().await;
        board.fault(fault);
        let restoring = board.session.write(board.restore(&trashed), deadline());
        let at = restoring.await.unwrap().unwrap();
        let data = board.part(JobPart::Data).await.unwrap();
        assert_eq!((data.create_revision, data.version), (at, 1), "{fault:?}");
        assert_eq!(board.in_trash().await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn restored_job_that_was_consumed_before_anybody_looked_does_not_come_back() {
    let board = setup().await;
    let trashed = board.trashed().await;
    board.fault(Some(Fault::AnswerLost));
    let restoring = board.session.write(board.restore(&trashed), deadline());
    tokio::pin!(restoring);
    // Sent and applied, and the fence not yet answered.
    while board.part(JobPart::Data).await.is_none() {
        assert!(futures::poll!(&mut restoring).is_pending());
    }
    let all = board.keys.all_of_job(board.job);
    board.store.memory.delete(all).await.unwrap();
    restoring.await.unwrap().unwrap();
    assert_eq!(board.part(JobPart::Data).await, None);
}

#[tokio::test(start_paused = true)]
async fn restore_by_another_is_not_taken_for_the_one_whose_request_was_lost() {
    let board = setup().await;
    let trashed = board.trashed().await;
    board.fault(Some(Fault::RequestLost));
    let restoring = board.session.write(board.restore(&trashed), deadline());
    tokio::pin!(restoring);
    // Until it is sent.
    while !board.store.next.lock().unwrap().is_empty() {
        assert!(futures::poll!(&mut restoring).is_pending());
        tokio::task::yield_now().await;
    }
    let memory = &board.store.memory;
    let data = board.keys.job(board.job, JobPart::Data);
    memory.delete(trashed.key.into()).await.unwrap();
    memory.put(data, trashed.value).await.unwrap();
    assert_eq!(restoring.await.unwrap(), Err(RestoreRefusal::Gone));
}

#[tokio::test(start_paused = true)]
async fn purge_happens_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let trashed = board.trashed().await;
        board.fault(fault);
        let purge = Purge::new([Place::of(&trashed)]);
        let purging = board.session.write(purge, deadline());
        purging.await.unwrap().unwrap();
        assert_eq!(board.in_trash().await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn purge_by_another_is_not_taken_for_the_one_whose_request_was_lost() {
    let board = setup().await;
    let trashed = board.trashed().await;
    board.fault(Some(Fault::RequestLost));
    let purge = Purge::new([Place::of(&trashed)]);
    let purging = board.session.write(purge, deadline());
    tokio::pin!(purging);
    while !board.store.next.lock().unwrap().is_empty() {
        assert!(futures::poll!(&mut purging).is_pending());
        tokio::task::yield_now().await;
    }
    board.store.memory.delete(trashed.key.into()).await.unwrap();
    purging.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn quarantine_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let memory = &board.store.memory;
        let data = board.keys.job(board.job, JobPart::Data);
        memory.put(data.clone(), "broken".into()).await.unwrap();
        let moved = vec![Place::of(&board.part(JobPart::Data).await.unwrap())];
        let place = board.keys.quarantine("job42.data", 0);
        board.fault(fault);
        let verb = Quarantine::new(&board.keys, &data, moved, (place.clone(), "kept".into()));
        let moving = board.session.write(verb, deadline());
        moving.await.unwrap().unwrap();
        assert_eq!(board.part(JobPart::Data).await, None, "{fault:?}");
        let kept = memory.get(place).await.unwrap();
        assert_eq!(kept.unwrap().version, 1, "{fault:?}");
    }
}
