//! Saving to a logbook whatever becomes of the answers.

use super::*;
use crate::protocol::book::{CreateBook, SaveBook, parts};

const BOOK: Uuid = Uuid::from_u128(5);

impl Bundle {
    /// Creates a book, and gives the verb that saves to it.
    async fn save(&self, held: &Held) -> impl Fn(&'static str) -> SaveBook {
        let (keys, hold, key) = (self.keys.clone(), held.hold(), self.keys.book(BOOK));
        let part = move |record: &'static str| parts(vec![(key.clone(), record.into())]).remove(0);
        let create = CreateBook::new(&keys, BOOK, part("new"));
        let created = self.session.write(create, deadline()).await;
        let created = created.unwrap().unwrap();
        move |record| SaveBook::new(&keys, hold, BOOK, created, part(record))
    }

    async fn book(&self) -> store::KeyValue {
        let found = self.store.memory.get(self.keys.book(BOOK)).await;
        found.unwrap().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn save_happens_once_whatever_becomes_of_its_answer() {
    for fault in FAULTS {
        let board = setup().await;
        let held = board.held().await;
        let save = board.save(&held).await;
        board.fault(fault);
        let saving = board
            .session
            .write_held(held.hold(), save("saved"), deadline());
        saving.await.unwrap().unwrap();
        let book = board.book().await;
        assert_eq!(
            (&*book.value, book.version),
            (&b"saved"[..], 2),
            "{fault:?}"
        );
        assert!(held.is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn save_does_not_overtake_the_one_before_whose_call_was_dropped() {
    for fault in &FAULTS[1..] {
        let board = setup().await;
        let held = board.held().await;
        let save = board.save(&held).await;
        board.fault(*fault);
        {
            let first = board
                .session
                .write_held(held.hold(), save("first"), deadline());
            tokio::pin!(first);
            // Until it is sent.
            while !board.store.next.lock().unwrap().is_empty() {
                assert!(futures::poll!(&mut first).is_pending());
                tokio::task::yield_now().await;
            }
        }
        let second = board
            .session
            .write_held(held.hold(), save("second"), deadline());
        second.await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(&*board.book().await.value, b"second", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn save_that_finds_its_claim_over_tells_the_owner() {
    let board = setup().await;
    let held = board.held().await;
    let save = board.save(&held).await;
    let owner = board.keys.job(board.job, JobPart::Owner);
    board.store.memory.delete(owner.into()).await.unwrap();
    assert!(!held.lost().is_cancelled());
    let saving = board
        .session
        .write_held(held.hold(), save("stale"), deadline());
    saving.await.unwrap().unwrap_err();
    assert!(held.lost().is_cancelled());
    assert_eq!(&*board.book().await.value, b"new");
}
