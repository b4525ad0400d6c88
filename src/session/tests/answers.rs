//! A job from its post to its end, whatever becomes of the answers.

use super::*;

#[tokio::test(start_paused = true)]
async fn post_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        board.fault(fault);
        let posted = board.post().await;
        let data = board.part(JobPart::Data).await.unwrap();
        assert_eq!(
            (data.create_revision, data.version),
            (posted, 1),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn post_that_was_consumed_before_anybody_looked_is_not_posted_again() {
    let board = setup().await;
    board.fault(Some(Fault::AnswerLost));
    let post = Post::new(&board.keys, board.job, &board.posting);
    let posting = board.session.write(post, deadline());
    tokio::pin!(posting);
    // Sent and applied, and the fence not yet answered.
    while board.part(JobPart::Data).await.is_none() {
        assert!(futures::poll!(&mut posting).is_pending());
    }
    board
        .store
        .memory
        .delete(board.keys.all_of_job(board.job))
        .await
        .unwrap();
    posting.await.unwrap().unwrap();
    assert_eq!(board.part(JobPart::Data).await, None);
}

#[tokio::test(start_paused = true)]
async fn claim_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let posted = board.post().await;
        board.fault(fault);
        let held = board.claim(posted).await;
        let owner = board.part(JobPart::Owner).await.unwrap();
        assert_eq!(owner.create_revision, held.hold().token, "{fault:?}");
        assert_eq!(OwnerRecord::read(&owner.value).unwrap().owner, "worker-3");
        assert_eq!(board.state().await.attempts, 1, "{fault:?}");
        assert!(held.is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn consume_happens_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let held = board.held().await;
        board.fault(fault);
        board.consume(&held).await.unwrap();
        assert_eq!(board.part(JobPart::Data).await, None, "{fault:?}");
        assert_eq!(board.part(JobPart::Owner).await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn result_is_kept_once_whatever_becomes_of_the_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let held = board.held().await;
        let lease = board.store.memory.grant(Duration::from_hours(1)).await;
        board.fault(fault);
        let consumed = board.consume_with(&held, lease.unwrap().id).await;
        consumed.unwrap().unwrap();
        let done = board.store.memory.get(board.keys.done(board.job)).await;
        assert_eq!(done.unwrap().unwrap().version, 1, "{fault:?}");
        assert_eq!(board.part(JobPart::Data).await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn job_is_still_held_if_the_lease_of_its_result_is_gone() {
    let board = setup().await;
    let held = board.held().await;
    let nobodys = LeaseId::new(1).unwrap();
    let refused = board.consume_with(&held, nobodys).await.unwrap_err();
    assert!(matches!(refused, WriteError::Refused(_)), "{refused:?}");
    assert!(held.is_held() && board.session.is_trusted());
    board.consume(&held).await.unwrap();
    assert_eq!(board.part(JobPart::Data).await, None);
}

#[tokio::test(start_paused = true)]
async fn abandon_happens_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let held = board.held().await;
        let (hold, state) = (held.hold(), held.state().abandoned());
        board.fault(fault);
        let verb = |keys: &Keyspace, _: &Guard| Abandon::new(keys, hold, Some(state));
        board
            .session
            .settle(&hold, verb, deadline())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(board.part(JobPart::Owner).await, None, "{fault:?}");
        let state = board.state().await;
        assert_eq!((state.attempts, state.unsettled), (1, 0), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trash_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let held = board.held().await;
        let hold = held.hold();
        let posting = Posting::read(board.part(JobPart::Data).await.unwrap().value).unwrap();
        let note = TrashNote {
            on: DateTime::UNIX_EPOCH,
            by: "worker-3",
            reason: Some("broken"),
            attempts: 1,
            operation: hold.claim.unwrap(),
        };
        board.fault(fault);
        let verb = |keys: &Keyspace, _: &Guard| Trash::new(keys, hold, 0, &posting, &note).unwrap();
        board
            .session
            .settle(&hold, verb, deadline())
            .await
            .unwrap()
            .unwrap();
        let trash = board
            .store
            .memory
            .get(board.keys.trash(board.job, 0))
            .await
            .unwrap();
        assert_eq!(trash.unwrap().version, 1, "{fault:?}");
        assert_eq!(board.part(JobPart::Data).await, None, "{fault:?}");
    }
}
