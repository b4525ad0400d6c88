//! Posting with a unique key whatever becomes of the answers.

use super::*;
use crate::protocol::post::PostRefusal;

impl Bundle {
    fn unique_post(&self, number: u64, uuid: Uuid) -> Post {
        let mut posting = self.posting.clone();
        posting.uuid = uuid;
        posting.terms.unique = Some("k".to_owned());
        Post::new(&self.keys, JobId::new(number).unwrap(), &posting)
    }

    async fn unique(&self) -> Option<store::KeyValue> {
        let found = self.store.memory.get(self.keys.unique("k")).await;
        found.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn unique_post_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        board.fault(fault);
        let post = board.unique_post(42, Uuid::from_u128(1));
        let posted = board.session.write(post, deadline()).await;
        let posted = posted.unwrap().unwrap();
        for part in [board.part(JobPart::Data).await, board.unique().await] {
            let part = part.unwrap();
            let put = (part.create_revision, part.version);
            assert_eq!(put, (posted, 1), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn second_unique_post_is_refused_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let first = board.unique_post(42, Uuid::from_u128(1));
        let first = board.session.write(first, deadline()).await;
        first.unwrap().unwrap();
        let held = board.unique().await;
        board.fault(fault);
        let second = board.unique_post(43, Uuid::from_u128(2));
        let refusal = board.session.write(second, deadline()).await;
        let PostRefusal::NotUnique(found) = refusal.unwrap().unwrap_err() else {
            panic!("{fault:?}");
        };
        let claimant = found.claimant(&board.keys).unwrap().unwrap();
        assert_eq!(claimant.job, board.job, "{fault:?}");
        assert_eq!(board.unique().await, held, "{fault:?}");
        let second = board.keys.all_of_job(JobId::new(43).unwrap());
        let there = board.store.range(RangeRequest::new(second)).await.unwrap();
        assert_eq!(there.count, 0, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn unique_post_that_was_consumed_before_anybody_looked_is_not_posted_again() {
    let board = setup().await;
    board.fault(Some(Fault::AnswerLost));
    let post = board.unique_post(42, Uuid::from_u128(1));
    let posting = board.session.write(post, deadline());
    tokio::pin!(posting);
    // Sent and applied, and the fence not yet answered.
    while board.unique().await.is_none() {
        assert!(futures::poll!(&mut posting).is_pending());
    }
    for gone in [
        board.keys.all_of_job(board.job),
        board.keys.unique("k").into(),
    ] {
        board.store.memory.delete(gone).await.unwrap();
    }
    posting.await.unwrap().unwrap();
    assert_eq!(board.part(JobPart::Data).await, None);
    assert_eq!(board.unique().await, None);
}
