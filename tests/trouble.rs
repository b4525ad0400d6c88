//! What is true of a board when its store is in trouble for a while: on a store in memory that
//! fails as it is told to, on paused time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/grouping.rs"]
mod grouping;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, future::join_all, stream};
use jobboard::{
    Claim, Conductor, Context, Ended, Entity, ErrorKind, EventKind, Job, JobBoard, JobState,
    LogBook, NewJob, Notification, Notifier, Retry, Step,
    store::{
        self, KeepAlive, Key, Lease, LeaseId, Memory, RangeRequest, RangeResponse, Revision, Store,
        StoreExt, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use self::grouping::{GROUP_COMMIT, builder};

/// Tells each story with verbs that go together and with verbs that go alone, on paused time.
macro_rules! in_both_ways {
    ($($story:ident)*) => {
        mod together {
            in_both_ways! { @way true $($story)* }
        }

        mod alone {
            in_both_ways! { @way false $($story)* }
        }
    };
    (@way $group_commit:literal $($story:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $story() {
                GROUP_COMMIT.scope($group_commit, super::$story()).await;
            }
        )*
        use super::GROUP_COMMIT;
    };
}

in_both_ways! {
    post_whose_outcome_was_unknown_is_not_sent_later
    post_that_was_dropped_before_it_was_sent_is_not_sent
    dropped_claim_comes_back_when_the_trouble_is_over
    settled_claim_is_not_held
    own_consume_is_not_taken_for_a_loss_when_the_view_is_first
    closing_board_tells_all_owners_before_it_gives_back
    post_that_nobody_polls_holds_up_no_other
    look_that_was_dropped_spoils_no_later_one
    failures_that_come_together_are_waited_out_once
    verb_that_always_loses_its_answer_does_not_fence_all_the_time
    claim_that_replaces_a_lost_one_of_the_same_session_ends_it
    claim_whose_session_ends_before_its_answer_is_lost_and_not_made_again
    more_than_a_thousand_claims_are_held_by_two_sessions
    save_whose_outcome_was_unknown_can_be_made_again
    save_that_did_not_happen_says_so
    save_that_stops_between_two_parts_says_so_and_goes_on_from_there
    creation_that_stops_between_two_parts_shows_nothing_and_can_be_made_again
    entity_stays_in_its_session_when_another_is_opened_beside_it
    registration_is_listed_before_any_watch_tells_of_it
    entities_that_can_not_be_listed_in_time_are_unavailable
    job_that_was_put_off_since_it_was_seen_is_not_claimed
    job_that_was_tried_too_often_since_it_was_seen_goes_into_the_trash
    result_is_kept_though_the_answers_to_grants_were_lost
    job_is_still_held_if_there_is_no_lease_for_its_result_in_time
    result_of_a_call_that_nobody_polls_holds_up_no_other
    owner_learns_at_once_that_its_job_is_lost_while_it_waits_for_a_lease
    last_result_on_a_lease_is_kept_for_its_retention_too
    job_whose_state_moved_since_it_was_seen_is_trashed_all_the_same
    job_that_can_not_be_settled_does_not_keep_its_conductor
    what_was_done_as_the_space_ran_out_is_told_as_done
    what_there_is_no_space_for_is_told_at_once_and_costs_no_claim
    claim_under_way_as_its_board_is_closed_burns_no_try
    many_that_did_not_happen_are_sent_again_at_once
    callbacks_are_told_what_changed_though_the_board_could_not_be_reached_meanwhile
}

/// What becomes of transactions, reads and watches.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// They do not arrive, after this time, and nobody says so.
    RequestsLost(Duration),
    /// They are refused for lack of space.
    NoSpace,
    /// They are applied, and refused for lack of space all the same.
    SpaceRunsOut,
    /// The store can not be reached, as turns out after this time.
    Away(Duration),
    /// Nor can it be read.
    ReadsAway(Duration),
    /// They arrive after this time.
    LateRequests(Duration),
    /// They are applied, and answered after this time.
    LateAnswers(Duration),
    /// A watch that is opened says nothing.
    MuteWatches,
    /// Leases are granted, and nobody says so.
    GrantsLost,
}

/// A store in memory that gets into trouble.
#[derive(Clone, Debug)]
struct Troubled {
    memory: Memory,
    trouble: Arc<Mutex<Trouble>>,
    transactions: Arc<AtomicU32>,
    /// Leases whose answers were lost.
    grants: Arc<AtomicU32>,
}

impl Troubled {
    fn new() -> Self {
        Self {
            memory: Memory::new(),
            trouble: Arc::new(Mutex::new(Trouble::None)),
            transactions: Arc::default(),
            grants: Arc::default(),
        }
    }

    fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }
}

#[async_trait]
impl Store for Troubled {
    async fn range(&self, request: RangeRequest) -> store::Result<RangeResponse> {
        let trouble = *self.trouble.lock().unwrap();
        if let Trouble::ReadsAway(after) = trouble {
            sleep(after).await;
            return Err(store::Error::new(
                store::ErrorKind::Unavailable,
                "in trouble",
            ));
        }
        self.memory.range(request).await
    }

    async fn txn(&self, txn: Txn) -> store::Result<TxnResponse> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let trouble = *self.trouble.lock().unwrap();
        let failed = |kind| Err(store::Error::new(kind, "in trouble"));
        match trouble {
            Trouble::None | Trouble::MuteWatches | Trouble::GrantsLost => {
                self.memory.txn(txn).await
            }
            Trouble::RequestsLost(after) => {
                sleep(after).await;
                failed(store::ErrorKind::Ambiguous)
            }
            // What only reads is answered all the same.
            Trouble::NoSpace | Trouble::SpaceRunsOut
                if !txn.writes() && txn.compares.is_empty() =>
            {
                self.memory.txn(txn).await
            }
            Trouble::SpaceRunsOut if txn.writes() => {
                self.memory.txn(txn).await?;
                failed(store::ErrorKind::NoSpace)
            }
            Trouble::NoSpace | Trouble::SpaceRunsOut => failed(store::ErrorKind::NoSpace),
            Trouble::Away(after) | Trouble::ReadsAway(after) => {
                sleep(after).await;
                failed(store::ErrorKind::Unavailable)
            }
            Trouble::LateRequests(after) => {
                sleep(after).await;
                self.memory.txn(txn).await
            }
            Trouble::LateAnswers(after) => {
                let answer = self.memory.txn(txn).await;
                sleep(after).await;
                answer
            }
        }
    }

    async fn watch(&self, request: WatchRequest) -> store::Result<WatchStream> {
        let trouble = *self.trouble.lock().unwrap();
        if matches!(trouble, Trouble::MuteWatches) {
            return Ok(stream::pending().boxed());
        }
        self.memory.watch(request).await
    }

    async fn grant(&self, ttl: Duration) -> store::Result<Lease> {
        let granted = self.memory.grant(ttl).await;
        let trouble = *self.trouble.lock().unwrap();
        if let Trouble::GrantsLost = trouble {
            self.grants.fetch_add(1, Ordering::Relaxed);
            let ambiguous = store::ErrorKind::Ambiguous;
            return Err(store::Error::new(ambiguous, "in trouble"));
        }
        granted
    }

    async fn revoke(&self, lease: LeaseId) -> store::Result<()> {
        self.memory.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.memory.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> store::Result<()> {
        self.memory.compact(revision).await
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A board with a session that outlives every trouble of these tests, and with a number at hand for
/// the next job.
async fn setup() -> (Troubled, JobBoard) {
    let store = Troubled::new();
    let board = builder("board").store(store.clone()).ttl(60 * SECOND);
    let board = board.connect().await.unwrap();
    // Numbers are taken one, then two at a time.
    board.post(NewJob::new("first")).await.unwrap();
    board.post(NewJob::new("second")).await.unwrap();
    (store, board)
}

async fn jobs(board: &JobBoard) -> Vec<Job> {
    board.fresh_jobs().await.unwrap().collect()
}

async fn held(board: &JobBoard) -> (Job, Claim) {
    let job = jobs(board).await.remove(0);
    let claim = board.claim(&job, "owner").await.unwrap();
    board.fresh_jobs().await.unwrap();
    (job, claim)
}

async fn until(job: &Job, state: JobState) {
    while job.state() != state {
        job.board().changed(job.board().revision()).await.unwrap();
    }
}

async fn post_whose_outcome_was_unknown_is_not_sent_later() {
    let (store, board) = setup().await;
    store.set(Trouble::RequestsLost(3 * SECOND));
    let error = board.post(NewJob::new("late")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    sleep(5 * SECOND).await;
    store.set(Trouble::None);
    sleep(10 * SECOND).await;
    assert_eq!(jobs(&board).await.len(), 2);
}

async fn post_that_was_dropped_before_it_was_sent_is_not_sent() {
    let (store, board) = setup().await;
    store.set(Trouble::Away(SECOND / 3));
    timeout(SECOND, board.post(NewJob::new("dropped")))
        .await
        .unwrap_err();
    sleep(20 * SECOND).await;
    store.set(Trouble::None);
    sleep(10 * SECOND).await;
    assert_eq!(jobs(&board).await.len(), 2);
}

async fn dropped_claim_comes_back_when_the_trouble_is_over() {
    for trouble in [
        Trouble::NoSpace,
        Trouble::Away(SECOND / 3),
        Trouble::RequestsLost(3 * SECOND),
    ] {
        let (store, board) = setup().await;
        let (job, claim) = held(&board).await;
        store.set(trouble);
        drop(claim);
        sleep(20 * SECOND).await;
        store.set(Trouble::None);
        // The last request is lost after 3 s. Then the writer waits before the fence and after it,
        // and who gives back before the next try: 1 s each, at most doubled by jitter.
        let back = timeout(9 * SECOND, until(&job, JobState::Unclaimed)).await;
        assert!(back.is_ok(), "{trouble:?}");
    }
}

async fn settled_claim_is_not_held() {
    let (_store, board) = setup().await;
    let (_, claim) = held(&board).await;
    claim.consume().await.unwrap();
    assert!(!claim.is_held());

    let (job, claim) = held(&board).await;
    board.abandon(&job, "owner").await.unwrap();
    assert!(!claim.is_held());
    claim.lost().await;
}

async fn own_consume_is_not_taken_for_a_loss_when_the_view_is_first() {
    let (store, board) = setup().await;
    let (_, claim) = held(&board).await;
    store.set(Trouble::LateAnswers(SECOND / 20));
    tokio::select! {
        biased;
        consumed = claim.consume() => assert!(consumed.is_ok()),
        () = claim.lost() => panic!("lost"),
    }
}

async fn closing_board_tells_all_owners_before_it_gives_back() {
    let (store, board) = setup().await;
    let all = jobs(&board).await;
    let first = board.claim(&all[0], "owner").await.unwrap();
    let second = board.claim(&all[1], "owner").await.unwrap();
    let other = builder("board").store(store.memory.clone());
    let other = other.connect().await.unwrap();
    // A verb of the second is under way for long.
    store.set(Trouble::LateAnswers(8 * SECOND));
    let slow = tokio::spawn(async move { second.abandon().await });
    sleep(SECOND / 100).await;
    store.set(Trouble::None);
    let closing = tokio::spawn({
        let board = board.clone();
        async move { board.close().await }
    });
    until(&other.get(first.job().id()).unwrap(), JobState::Unclaimed).await;
    assert!(!first.is_held());
    closing.await.unwrap();
    slow.await.unwrap().ok();
}

async fn post_that_nobody_polls_holds_up_no_other() {
    let store = Memory::new();
    let board = builder("board").store(store).connect().await.unwrap();
    let mut first = Box::pin(board.post(NewJob::new("first")));
    assert!(futures::poll!(&mut first).is_pending());
    timeout(SECOND, board.post(NewJob::new("second")))
        .await
        .unwrap()
        .unwrap();
}

async fn look_that_was_dropped_spoils_no_later_one() {
    let (store, board) = setup().await;
    store.set(Trouble::LateAnswers(SECOND / 2));
    let first = tokio::spawn({
        let board = board.clone();
        async move { board.fresh_jobs().await.map(drop) }
    });
    sleep(SECOND / 10).await;
    timeout(SECOND / 10, board.fresh_jobs()).await.unwrap_err();
    first.await.unwrap().unwrap();
    store.set(Trouble::None);
    sleep(60 * SECOND).await;
    board.fresh_jobs().await.unwrap();
}

async fn failures_that_come_together_are_waited_out_once() {
    let (store, board) = setup().await;
    join_all((0..200).map(|_| board.post(NewJob::new("more")))).await;
    let all = jobs(&board).await;
    store.set(Trouble::Away(SECOND / 3));
    let mut claiming = Box::pin(join_all(all.iter().map(|job| board.claim(job, "owner"))));
    timeout(SECOND * 33 / 100, &mut claiming).await.unwrap_err();
    store.set(Trouble::None);
    let start = Instant::now();
    let claims: Vec<_> = claiming.await.into_iter().map(Result::unwrap).collect();
    assert!(start.elapsed() < SECOND / 2, "{:?}", start.elapsed());
    assert_eq!(claims.len(), 202);
}

async fn verb_that_always_loses_its_answer_does_not_fence_all_the_time() {
    let (store, board) = setup().await;
    store.transactions.store(0, Ordering::Relaxed);
    store.set(Trouble::RequestsLost(SECOND / 1000));
    board.post(NewJob::new("lost")).await.unwrap_err();
    sleep(60 * SECOND).await;
    // Backoff ends at about a second a try.
    assert!(store.transactions.load(Ordering::Relaxed) < 200);
}

async fn claim_that_replaces_a_lost_one_of_the_same_session_ends_it() {
    let (store, board) = setup().await;
    let (job, first) = held(&board).await;
    let lock = Key::new(format!("/taskflow/jobs/board/job{}.lock", job.id())).unwrap();
    store.memory.delete(lock.into()).await.unwrap();
    let second = board.claim(&job, "owner").await.unwrap();
    first.lost().await;
    assert!(second.is_held());
}

async fn more_than_a_thousand_claims_are_held_by_two_sessions() {
    let (store, board) = setup().await;
    join_all((0..1_100).map(|_| board.post(NewJob::new("many")))).await;
    let mut claims = Vec::new();
    for job in jobs(&board).await {
        claims.push(board.claim(&job, "owner").await.unwrap());
    }
    assert!(claims.iter().all(Claim::is_held));
    let leases: BTreeSet<_> = {
        let all = store::KeyRange::prefix(Key::new("/taskflow/jobs/board/").unwrap());
        let keys = store.range(RangeRequest::new(all)).await.unwrap().kvs;
        keys.into_iter().filter_map(|kv| kv.lease).collect()
    };
    assert_eq!(leases.len(), 2);
    board.close().await;
    assert_eq!(jobs_after(&store).await, 1_102);
}

async fn jobs_after(store: &Troubled) -> usize {
    let board = builder("board")
        .store(store.clone())
        .connect()
        .await
        .unwrap();
    board.jobs().only_unclaimed().count()
}

/// A held job, with a book of so many steps as its owner reads it.
async fn held_with_book(board: &JobBoard, steps: usize) -> (Claim, LogBook) {
    let mut book = board.books().new_book("book");
    for step in 0..steps {
        book.add_flow("flow").add_atom(&step.to_string());
    }
    board.books().create(&mut book).await.unwrap();
    let job = board.post(NewJob::new("job").book(&book)).await.unwrap();
    let claim = board.claim(&job, "owner").await.unwrap();
    let book = job.book().await.unwrap().unwrap();
    (claim, book)
}

/// Notes the results of every step.
fn note(book: &mut LogBook, results: u64) {
    let flow = book.add_flow("flow");
    for step in 0..flow.atoms().len() {
        flow.add_atom(&step.to_string()).set_results(results);
    }
}

/// How many steps are kept with these results.
async fn kept_with(claim: &Claim, results: u64) -> usize {
    let book = claim.job().book().await.unwrap().unwrap();
    let atoms = book.flow("flow").unwrap().atoms().iter();
    atoms.filter(|atom| atom.results() == results).count()
}

async fn claim_whose_session_ends_before_its_answer_is_lost_and_not_made_again() {
    let (store, board) = setup().await;
    let all = jobs(&board).await;
    store.set(Trouble::LateAnswers(8 * SECOND));
    let (claimed, other) = tokio::join!(board.claim(&all[0], "owner"), async {
        sleep(SECOND).await;
        store.set(Trouble::None);
        let lock = format!("/taskflow/jobs/board/job{}.lock", all[0].id());
        let lock = store.get(Key::new(lock).unwrap()).await.unwrap();
        store.revoke(lock.unwrap().lease.unwrap()).await.unwrap();
        // The session learns of it by its next verb, which another one makes then.
        board.claim(&all[1], "owner").await
    });
    assert_eq!(claimed.unwrap_err().kind(), ErrorKind::Lost);
    assert!(other.unwrap().is_held());
    let job = jobs(&board).await.remove(0);
    assert_eq!((job.state(), job.attempts()), (JobState::Unclaimed, 1));
}

async fn save_whose_outcome_was_unknown_can_be_made_again() {
    for trouble in [
        Trouble::RequestsLost(3 * SECOND),
        Trouble::LateAnswers(11 * SECOND),
    ] {
        let (store, board) = setup().await;
        let (claim, mut book) = held_with_book(&board, 3).await;
        note(&mut book, 1);
        store.set(trouble);
        let error = claim.save_book(&mut book).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{trouble:?}");
        assert!(!book.is_saved());
        store.set(Trouble::None);
        note(&mut book, 2);
        claim.save_book(&mut book).await.unwrap();
        // Nothing of the first comes later.
        sleep(20 * SECOND).await;
        assert_eq!(kept_with(&claim, 2).await, 3);
        assert!(book.is_saved());
    }
}

async fn save_that_did_not_happen_says_so() {
    let (store, board) = setup().await;
    let (claim, mut book) = held_with_book(&board, 3).await;
    note(&mut book, 1);
    // Told at once, so that nothing is under way when the call ends.
    for trouble in [Trouble::Away(Duration::ZERO), Trouble::NoSpace] {
        store.set(trouble);
        let error = claim.save_book(&mut book).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{trouble:?}");
    }
    store.set(Trouble::None);
    sleep(20 * SECOND).await;
    assert_eq!(kept_with(&claim, 1).await, 0);
    assert!(claim.is_held() && !book.is_saved());
}

async fn save_that_stops_between_two_parts_says_so_and_goes_on_from_there() {
    let (store, board) = setup().await;
    let (claim, mut book) = held_with_book(&board, 250).await;
    note(&mut book, 1);
    store.set(Trouble::LateAnswers(SECOND));
    let saving = claim.save_book(&mut book);
    let cut = async {
        sleep(SECOND / 2).await;
        store.set(Trouble::Away(SECOND / 3));
    };
    let error = tokio::join!(saving, cut).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(error.to_string().contains("1 of its 3 parts"), "{error}");
    assert_eq!(kept_with(&claim, 1).await, 100);

    store.set(Trouble::None);
    claim.save_book(&mut book).await.unwrap();
    assert_eq!(kept_with(&claim, 1).await, 250);
    // Each was put when it was created and when it was saved, and no more.
    let all = store::KeyRange::prefix(Key::new("/taskflow/.books/board/").unwrap());
    let records = store.range(RangeRequest::new(all)).await.unwrap().kvs;
    let put_twice = records.iter().filter(|record| record.version == 2).count();
    assert_eq!((records.len(), put_twice), (252, 250));
}

async fn creation_that_stops_between_two_parts_shows_nothing_and_can_be_made_again() {
    let (store, board) = setup().await;
    let books = board.books();
    let mut book = books.new_book("book");
    for step in 0..250 {
        book.add_flow("flow").add_atom(&step.to_string());
    }
    store.set(Trouble::LateAnswers(SECOND));
    let creating = books.create(&mut book);
    let cut = async {
        sleep(SECOND / 2).await;
        store.set(Trouble::NoSpace);
    };
    let error = tokio::join!(creating, cut).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let gone = books.load(book.uuid()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(books.list().await.unwrap().is_empty());

    store.set(Trouble::None);
    books.create(&mut book).await.unwrap();
    let again = books.load(book.uuid()).await.unwrap();
    assert_eq!(again.flow("flow").unwrap().atoms().len(), 250);
}

async fn entity_stays_in_its_session_when_another_is_opened_beside_it() {
    let (_store, board) = setup().await;
    let entity = Entity::new("conductor", "a");
    board.register_entity(&entity).await.unwrap();
    let before = board.entities().await.unwrap().list();
    join_all((0..1_100).map(|_| board.post(NewJob::new("many")))).await;
    let mut claims = Vec::new();
    for job in jobs(&board).await {
        claims.push(board.claim(&job, "owner").await.unwrap());
    }
    let entity = entity.with_metadata(json!({"busy": true}));
    board.register_entity(&entity).await.unwrap();
    let after = board.entities().await.unwrap().list();
    assert_eq!((after.len(), &after[0].entity), (1, &entity));
    assert_eq!(after[0].session, before[0].session);
}

async fn registration_is_listed_before_any_watch_tells_of_it() {
    let (store, board) = setup().await;
    store.set(Trouble::MuteWatches);
    for number in 0..3 {
        let entities = board.entities().await.unwrap();
        assert_eq!(entities.list().len(), number);
        let entity = Entity::new("conductor", number.to_string());
        board.register_entity(&entity).await.unwrap();
        assert_eq!(entities.list().len(), number);
    }
}

async fn entities_that_can_not_be_listed_in_time_are_unavailable() {
    let (store, board) = setup().await;
    let entity = Entity::new("conductor", "a");
    board.register_entity(&entity).await.unwrap();
    for _ in 0..2 {
        store.set(Trouble::ReadsAway(SECOND / 3));
        let start = Instant::now();
        let error = board.entities().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.to_string(), "list the entities: in trouble");
        assert_eq!(start.elapsed().as_secs(), 10);
        store.set(Trouble::None);
        assert_eq!(board.entities().await.unwrap().list().len(), 1);
    }
}

async fn job_that_was_put_off_since_it_was_seen_is_not_claimed() {
    let (store, board) = setup().await;
    store.set(Trouble::MuteWatches);
    let late = builder("board").store(store.clone());
    let late = late.connect().await.unwrap();
    for (retry, refused) in [
        (Retry::after(60 * SECOND), true),
        (Retry::at_once().reason("busy"), false),
    ] {
        let job = late.jobs().next().unwrap();
        let claim = board.claim(&job, "one").await.unwrap();
        claim.abandon_with(retry).await.unwrap();
        assert_eq!(job.attempts(), 0);
        match late.claim(&job, "two").await {
            Ok(claim) => {
                assert!(!refused);
                claim.consume().await.unwrap();
            }
            Err(error) => {
                assert_eq!((error.kind(), refused), (ErrorKind::Claimed, true));
                let why = format!(
                    "claim job {}: it was given back meanwhile, to be tried later",
                    job.id()
                );
                assert_eq!(error.to_string(), why);
                board
                    .claim(&job, "one")
                    .await
                    .unwrap()
                    .consume()
                    .await
                    .unwrap();
                late.close().await;
                late.connect().await.unwrap();
            }
        }
    }
    assert!(jobs(&board).await.is_empty());
}

async fn job_that_was_tried_too_often_since_it_was_seen_goes_into_the_trash() {
    let (store, board) = setup().await;
    store.set(Trouble::MuteWatches);
    let late = builder("board").store(store.clone());
    let late = late.max_attempts(1).connect().await.unwrap();
    let job = late.jobs().next().unwrap();
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .abandon()
        .await
        .unwrap();
    let refused = late.claim(&job, "two").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert_eq!(jobs(&board).await.len(), 1);
}

async fn result_is_kept_though_the_answers_to_grants_were_lost() {
    let (store, board) = setup().await;
    let (job, claim) = held(&board).await;
    store.set(Trouble::GrantsLost);
    let (consumed, ()) = tokio::join!(claim.consume_with(json!("made")), async {
        sleep(5 * SECOND).await;
        store.set(Trouble::None);
    });
    consumed.unwrap();
    let made = Ended::Consumed(Some(json!("made")));
    assert_eq!(job.wait(None).await.unwrap(), made);
}

async fn job_is_still_held_if_there_is_no_lease_for_its_result_in_time() {
    let (store, board) = setup().await;
    let (job, claim) = held(&board).await;
    store.set(Trouble::GrantsLost);
    let asked = Instant::now();
    let error = claim.consume_with(json!("made")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(asked.elapsed(), 10 * SECOND);
    assert!(claim.is_held());
    claim.consume().await.unwrap();
    assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));
}

async fn result_of_a_call_that_nobody_polls_holds_up_no_other() {
    let (store, board) = setup().await;
    let (_, first) = held(&board).await;
    let second = jobs(&board).await.remove(1);
    let second = board.claim(&second, "owner").await.unwrap();
    store.set(Trouble::GrantsLost);
    let mut never_polled = Box::pin(first.consume_with(json!("made")));
    while store.grants.load(Ordering::Relaxed) == 0 {
        assert!(futures::poll!(&mut never_polled).is_pending());
        tokio::task::yield_now().await;
    }
    store.set(Trouble::None);
    let consumed = timeout(SECOND, second.consume_with(json!("made"))).await;
    consumed.unwrap().unwrap();
}

async fn owner_learns_at_once_that_its_job_is_lost_while_it_waits_for_a_lease() {
    let (store, board) = setup().await;
    let (job, claim) = held(&board).await;
    store.set(Trouble::GrantsLost);
    let owner = Key::new(format!("/taskflow/jobs/board/job{}.lock", job.id())).unwrap();
    let consuming = timeout(SECOND, claim.consume_with(json!("made")));
    let (consumed, deleted) = tokio::join!(consuming, store.memory.delete(owner.into()));
    deleted.unwrap();
    let error = consumed.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
}

async fn last_result_on_a_lease_is_kept_for_its_retention_too() {
    let store = Troubled::new();
    let board = builder("board").store(store.clone());
    let board = board.retention(30 * SECOND).connect().await.unwrap();
    // Consumes a job with a result, and gives the lease of that; the requests take so long.
    let consume = async |late: Duration| {
        board.post(NewJob::new("next")).await.unwrap();
        let (job, claim) = held(&board).await;
        store.set(Trouble::LateRequests(late));
        claim.consume_with(json!("made")).await.unwrap();
        store.set(Trouble::None);
        let done = Key::new(format!("/taskflow/.done/board/job{}", job.id())).unwrap();
        let lease = store.get(done).await.unwrap().unwrap().lease;
        (job, lease)
    };
    let (_, first) = consume(Duration::ZERO).await;
    sleep(29 * SECOND).await;
    // Asked for in time, and about as late as a call can be.
    let (job, last) = consume(9 * SECOND).await;
    assert_eq!(first, last);
    let (_, another) = consume(Duration::ZERO).await;
    assert_ne!(last, another);

    sleep(29 * SECOND).await;
    let made = Ended::Consumed(Some(json!("made")));
    assert_eq!(job.wait(None).await.unwrap(), made);
    sleep(4 * SECOND).await;
    assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));
}

async fn job_whose_state_moved_since_it_was_seen_is_trashed_all_the_same() {
    let (store, board) = setup().await;
    store.set(Trouble::MuteWatches);
    let late = builder("board").store(store.clone());
    let late = late.connect().await.unwrap();
    let job = late.jobs().next().unwrap();
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .abandon()
        .await
        .unwrap();
    assert_eq!(job.attempts(), 0);
    late.trash_unclaimed(&job, "operator", "broken")
        .await
        .unwrap();
    assert_eq!(jobs(&board).await.len(), 1);
    let posted = late.post(NewJob::new("unseen")).await.unwrap();
    assert_eq!(posted.state(), JobState::Unclaimed);
}

async fn job_that_can_not_be_settled_does_not_keep_its_conductor() {
    let (store, board) = setup().await;
    let (begun, mut begins) = mpsc::channel(1);
    let conductor = Conductor::builder(&board, "conductor")
        .jobs_where(|job| job.name() == "first")
        .with(move |_: Context, _: Value| {
            let begun = begun.clone();
            async move {
                begun.send(()).await?;
                std::future::pending().await
            }
        })
        .unwrap();
    let mut events = conductor.events();
    let running = {
        let conductor = conductor.clone();
        tokio::spawn(async move { conductor.run().await })
    };
    begins.recv().await.unwrap();
    store.set(Trouble::NoSpace);
    let stopped = Instant::now();
    conductor.stop();
    running.await.unwrap().unwrap();
    // To drain, for its handler to end, and to settle; nothing is tried between two seconds.
    assert_eq!(stopped.elapsed().as_secs(), 30 + 10 + 10);
    let steps: Vec<_> = events
        .by_ref()
        .take(4)
        .map(|event| event.step)
        .collect()
        .await;
    let [
        Step::Started,
        Step::Draining,
        Step::Dropped,
        Step::Unsettled(_),
    ] = steps[..]
    else {
        panic!("{steps:?}");
    };
    store.set(Trouble::None);
    let first = jobs(&board).await.remove(0);
    until(&first, JobState::Unclaimed).await;
}

async fn what_was_done_as_the_space_ran_out_is_told_as_done() {
    let (store, board) = setup().await;
    store.set(Trouble::SpaceRunsOut);
    let job = board.post(NewJob::new("third")).await.unwrap();
    store.set(Trouble::None);
    let all = jobs(&board).await;
    assert_eq!(all.len(), 3);
    store.set(Trouble::SpaceRunsOut);
    let claims = board.claim_many(all, "owner").await;
    let mut claims = claims.into_iter().map(Result::unwrap);
    let mut next = || claims.next().unwrap();
    next().consume().await.unwrap();
    next().trash("no good").await.unwrap();
    next().abandon().await.unwrap();
    store.set(Trouble::None);
    let left = jobs(&board).await;
    assert_eq!((left.len(), left[0].id()), (1, job.id()));
    assert_eq!(
        (left[0].state(), left[0].attempts()),
        (JobState::Unclaimed, 1)
    );
}

async fn what_there_is_no_space_for_is_told_at_once_and_costs_no_claim() {
    let (store, board) = setup().await;
    let (_, claim) = held(&board).await;
    let begun = Instant::now();
    store.set(Trouble::NoSpace);
    for refused in board.post_many(["a", "b", "c"].map(NewJob::new)).await {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    store.set(Trouble::None);
    assert!(claim.is_held());
    claim.consume().await.unwrap();
    assert_eq!(jobs(&board).await.len(), 1);
}

async fn claim_under_way_as_its_board_is_closed_burns_no_try() {
    let (store, board) = setup().await;
    let job = jobs(&board).await.remove(0);
    store.set(Trouble::LateAnswers(SECOND));
    let given_up = timeout(SECOND / 10, board.claim(&job, "owner")).await;
    assert!(given_up.is_err());
    let (claimed, ()) = tokio::join!(board.claim(&job, "another"), board.close());
    assert!(claimed.is_err());
    store.set(Trouble::None);
    board.connect().await.unwrap();
    let job = jobs(&board).await.remove(0);
    assert_eq!((job.state(), job.attempts()), (JobState::Unclaimed, 0));
}

async fn many_that_did_not_happen_are_sent_again_at_once() {
    let (store, board) = setup().await;
    for job in jobs(&board).await {
        board
            .claim(&job, "owner")
            .await
            .unwrap()
            .consume()
            .await
            .unwrap();
    }
    let new = (0..400).map(|number| NewJob::new(number.to_string()));
    for posted in board.post_many(new).await {
        posted.unwrap();
    }
    let all = jobs(&board).await;
    store.set(Trouble::RequestsLost(SECOND));
    let begun = Instant::now();
    let end = async {
        sleep(SECOND / 2).await;
        store.set(Trouble::None);
    };
    let (claims, ()) = tokio::join!(board.claim_many(all, "owner"), end);
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 400);
    assert!(begun.elapsed() < SECOND * 2, "{:?}", begun.elapsed());
}

async fn callbacks_are_told_what_changed_though_the_board_could_not_be_reached_meanwhile() {
    let (store, board) = setup().await;
    let other = builder("board").store(store.clone()).ttl(60 * SECOND);
    let other = other.connect().await.unwrap();
    let (tell, mut told) = mpsc::channel(8);
    board
        .notifier()
        .register(Notifier::ANY, move |told: &Notification| {
            tell.try_send(told.kind()).unwrap();
        });
    board.close().await;
    let job = jobs(&other).await.remove(0);
    other
        .claim(&job, "owner")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    store.set(Trouble::ReadsAway(SECOND));
    assert_eq!(
        board.connect().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    store.set(Trouble::None);
    board.connect().await.unwrap();
    board.post(NewJob::new("third")).await.unwrap();
    assert_eq!(told.recv().await, Some(EventKind::Removal));
    assert_eq!(told.recv().await, Some(EventKind::Posted));
    assert!(told.try_recv().is_err());
    board.close().await;
}
