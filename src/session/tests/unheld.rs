//! Verbs on jobs by who does not hold them, whatever becomes of the answers.

use super::*;
use crate::protocol::{
    cancel::{CancelRequest, RequestCancel},
    trash_unclaimed::TrashUnclaimed,
};

#[tokio::test(start_paused = true)]
async fn job_that_nobody_holds_is_trashed_once_whatever_becomes_of_the_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let posted = board.post().await;
        let posting = Posting::read(board.part(JobPart::Data).await.unwrap().value).unwrap();
        let note = TrashNote {
            on: DateTime::UNIX_EPOCH,
            by: "worker-3",
            reason: Some("tried too often"),
            attempts: 20,
            operation: Uuid::from_u128(3),
        };
        let job = (board.job, posted, &posting);
        let verb = TrashUnclaimed::new(&board.keys, job, Revision::ZERO, 0, &note).unwrap();
        board.fault(fault);
        let trashing = board.session.write(verb, deadline());
        trashing.await.unwrap().unwrap();
        let place = board.keys.trash(board.job, 0);
        let trash = board.store.memory.get(place).await.unwrap();
        assert_eq!(trash.unwrap().version, 1, "{fault:?}");
        assert_eq!(board.part(JobPart::Data).await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn owner_is_asked_to_stop_whatever_becomes_of_the_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let held = board.held().await;
        let (posted, token) = (held.hold().posted, held.hold().token);
        let request = CancelRequest::default();
        let ask = RequestCancel::new(&board.keys, board.job, posted, token, &request);
        board.fault(fault);
        let asked = board.session.write(ask, deadline()).await;
        asked.unwrap().unwrap();
        assert!(board.part(JobPart::Cancel).await.is_some(), "{fault:?}");
    }
}
