//! Verbs that are sent together, whatever becomes of the answers.
//!
//! What is handed in at once goes in one envelope here: the session's task runs when all have been.

use futures::future::{join, join_all};

use super::*;
use crate::protocol::{barrier::barrier, post::PostRefusal};

type Posted = Result<Result<Revision, PostRefusal>, WriteError>;

impl Bundle {
    fn post_of(&self, number: u64) -> Post {
        let mut posting = self.posting.clone();
        posting.uuid = Uuid::from_u128(number.into());
        Post::new(&self.keys, JobId::new(number).unwrap(), &posting)
    }

    async fn post_all(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<Posted> {
        let posts = numbers.into_iter().map(|number| self.post_of(number));
        let write = |post| self.session.write(post, deadline());
        join_all(posts.map(write)).await
    }

    fn data_key(&self, number: u64) -> store::Key {
        self.keys.job(JobId::new(number).unwrap(), JobPart::Data)
    }

    async fn data(&self, number: u64) -> Option<store::KeyValue> {
        let data = self.store.memory.get(self.data_key(number)).await;
        data.unwrap()
    }

    /// Puts a posting of somebody else where that number is wanted.
    async fn occupy(&self, number: u64) {
        let put = self.store.memory.put(self.data_key(number), "{}".into());
        put.await.unwrap();
    }

    fn sent(&self) -> usize {
        self.store.sent.load(Ordering::Relaxed)
    }
}

fn all_made(posted: Vec<Posted>) {
    for posted in posted {
        made(posted);
    }
}

/// The revision of a post that was made.
fn made(posted: Posted) -> Revision {
    posted.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn verbs_that_wait_go_in_one_transaction() {
    let board = setup().await;
    let before = board.sent();
    let posted: Vec<_> = board.post_all(1..=50).await.into_iter().map(made).collect();
    assert_eq!(board.sent() - before, 1);
    assert!(posted.iter().all(|revision| *revision == posted[0]));
}

#[tokio::test(start_paused = true)]
async fn each_verb_goes_alone_where_that_is_wanted() {
    let settings = Settings {
        group_commit: false,
        ..Settings::default()
    };
    let board = setup_with(settings).await;
    let before = board.sent();
    let posted: Vec<_> = board.post_all(1..=50).await.into_iter().map(made).collect();
    assert_eq!(board.sent() - before, 50);
    assert!(posted.is_sorted_by(|one, next| one < next));
}

#[tokio::test(start_paused = true)]
async fn each_member_happens_once_whatever_becomes_of_the_answer() {
    for fault in FAULTS {
        let board = setup().await;
        board.fault(fault);
        // More than are settled in one transaction.
        for (number, posted) in (1..).zip(board.post_all(1..=40).await) {
            let data = board.data(number).await.unwrap();
            let put = (data.create_revision, data.version);
            assert_eq!(put, (made(posted), 1), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn member_is_refused_alone_whatever_becomes_of_the_answer() {
    for fault in FAULTS {
        let board = setup().await;
        board.occupy(2).await;
        board.fault(fault);
        let posted = board.post_all(1..=3).await;
        let refused: Vec<_> = posted
            .iter()
            .map(|it| it.as_ref().unwrap().is_err())
            .collect();
        assert_eq!(refused, [false, true, false], "{fault:?}");
        assert_eq!(*board.data(2).await.unwrap().value, *b"{}", "{fault:?}");
    }
}

/// The receipt says that the envelope was written; the note, that this member of it was not.
#[tokio::test(start_paused = true)]
async fn member_that_was_refused_is_not_taken_for_one_that_was_posted_and_consumed_since() {
    let board = setup().await;
    board.occupy(2).await;
    board.fault(Some(Fault::AnswerLost));
    let posting = board.post_all(1..=3);
    tokio::pin!(posting);
    while board.data(1).await.is_none() {
        assert!(futures::poll!(&mut posting).is_pending());
    }
    // Nothing is left by which the one that was posted and the one that was not could be told apart.
    for number in [1, 2] {
        let gone = board.store.memory.delete(board.data_key(number).into());
        gone.await.unwrap();
    }
    all_made(posting.await);
    assert_eq!(board.data(1).await, None);
    assert_eq!(board.data(2).await.unwrap().version, 1);
}

#[tokio::test(start_paused = true)]
async fn note_of_an_earlier_envelope_says_nothing_of_a_later_one() {
    let board = setup().await;
    board.occupy(2).await;
    board.post_all(1..=3).await;
    board.fault(Some(Fault::AnswerLost));
    let posting = board.post_all(4..=6);
    tokio::pin!(posting);
    while board.data(5).await.is_none() {
        assert!(futures::poll!(&mut posting).is_pending());
    }
    let gone = board.store.memory.delete(board.data_key(5).into());
    gone.await.unwrap();
    all_made(posting.await);
    assert_eq!(board.data(5).await, None);
}

#[tokio::test(start_paused = true)]
async fn member_that_the_store_refuses_fails_none_of_its_neighbours() {
    let board = setup().await;
    let held = board.held().await;
    let dead = board.store.memory.grant(Duration::from_hours(1)).await;
    let dead = dead.unwrap().id;
    board.store.memory.revoke(dead).await.unwrap();
    let (consumed, posted) = join(board.consume_with(&held, dead), board.post_all(1..=3)).await;
    let Err(WriteError::Refused(error)) = consumed else {
        panic!("{consumed:?}");
    };
    assert_eq!(error.kind(), ErrorKind::LeaseNotFound);
    all_made(posted);
    assert!(held.is_held());
}

#[tokio::test(start_paused = true)]
async fn fewer_go_together_once_the_store_refused_so_many() {
    let board = setup().await;
    *board.store.ops.lock().unwrap() = 8;
    let before = board.sent();
    all_made(board.post_all(1..=40).await);
    // 40, 21 and 10 of them are refused; then there are six envelopes or more.
    let learning = board.sent() - before;
    assert!((9..=24).contains(&learning), "{learning}");
    let before = board.sent();
    all_made(board.post_all(41..=80).await);
    let learned = board.sent() - before;
    assert!(learned < learning, "{learned} after {learning}");
}

#[tokio::test(start_paused = true)]
async fn doubts_are_settled_however_little_the_store_does_at_once() {
    let board = setup().await;
    board.fault(Some(Fault::AnswerLost));
    // As much as the envelope, its receipt among it: less than what tells of sixteen members.
    *board.store.ops.lock().unwrap() = 41;
    for (number, posted) in (1..).zip(board.post_all(1..=40).await) {
        assert_eq!(
            board.data(number).await.unwrap().create_revision,
            made(posted)
        );
    }
    // And the session goes on.
    all_made(board.post_all([41]).await);
}

#[tokio::test(start_paused = true)]
async fn call_that_ends_neither_loses_nor_doubles_its_verb_or_its_neighbours() {
    for fault in [
        Some(Fault::Slow),
        Some(Fault::Unheard),
        Some(Fault::Stalled),
    ] {
        let board = setup().await;
        board.fault(fault);
        let dropped = board.session.write(board.post_of(9), deadline());
        let (mut others, mut dropped) = (Box::pin(board.post_all(1..=3)), Box::pin(dropped));
        assert!(futures::poll!(&mut dropped).is_pending());
        let before = board.sent();
        while board.sent() == before {
            assert!(futures::poll!(&mut others).is_pending());
            tokio::task::yield_now().await;
        }
        drop(dropped);
        all_made(others.await);
        let of_the_dropped = board.data(9).await;
        // What never arrived is not sent again for nobody.
        let arrived = !matches!(fault, Some(Fault::Stalled));
        assert_eq!(
            of_the_dropped.map(|data| data.version),
            arrived.then_some(1),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn envelopes_that_have_stalled_do_not_hold_up_what_comes_after_them() {
    let board = setup().await;
    *board.store.next.lock().unwrap() = [Fault::Stalled, Fault::Stalled].into();
    let start = Instant::now();
    let mut stalled = Vec::new();
    for number in [1, 2] {
        let before = board.sent();
        let mut post = Box::pin(board.session.write(board.post_of(number), deadline()));
        while board.sent() == before {
            assert!(futures::poll!(&mut post).is_pending());
            tokio::task::yield_now().await;
        }
        stalled.push(post);
    }
    made(board.session.write(board.post_of(3), deadline()).await);
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
    all_made(join_all(stalled).await);
    assert_eq!(board.data(1).await.unwrap().version, 1);
}

/// Both are handed in at once; the second sees what the first did.
#[tokio::test(start_paused = true)]
async fn verbs_about_the_same_keys_are_done_in_the_order_in_which_they_were_handed_in() {
    let board = setup().await;
    let barriers = [(); 4].map(|()| board.session.write(barrier(&board.keys), deadline()));
    let written = join_all(barriers).await;
    let written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    assert!(written.is_sorted_by(|one, next| one < next), "{written:?}");
}
