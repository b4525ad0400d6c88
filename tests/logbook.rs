//! What the owners of a job do with its logbook, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::sync::Arc;

use jobboard::{
    Claim, ErrorKind, Job, JobBoard, LogBook, NewJob,
    store::{Key, KeyRange, LeaseId, RangeRequest, Revision, Store, StoreExt},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::support::{board, builder, stories};

stories! {
    saved_book_loads_as_it_was
    next_owner_goes_on_where_the_last_one_stopped
    book_is_created_once
    large_book_goes_in_several_transactions_and_loads_whole
    book_that_is_not_kept_is_not_found
    broken_record_is_named_and_hides_no_other_book
    over_long_record_is_refused_and_nothing_changes
    owner_whose_lease_ended_changes_nothing
    owner_whose_claim_was_taken_changes_nothing
    copy_of_an_earlier_claim_is_not_saved
    unknown_fields_stay_when_a_record_is_rewritten
    claim_saves_the_book_of_its_job_alone
    saves_write_what_changed_alone
    books_are_listed_and_deleted
    read_only_handle_reads_and_closed_one_does_not
}

/// A job, and its book of ten steps.
async fn ten_steps(board: &JobBoard) -> (Job, LogBook) {
    let mut book = board.books().new_book("thumbnail");
    let flow = book.add_flow("flow");
    for step in 0..10 {
        flow.add_atom(&format!("step {step}"));
    }
    board.books().create(&mut book).await.unwrap();
    let new = NewJob::new("thumbnail").book(&book);
    (board.post(new).await.unwrap(), book)
}

async fn book_of(claim: &Claim) -> LogBook {
    claim.job().book().await.unwrap().unwrap()
}

/// Notes in a book that a step succeeded.
fn note(book: &mut LogBook, step: usize, by: &str) {
    let atom = book.add_flow("flow").add_atom(&format!("step {step}"));
    atom.set_results(json!({"by": by})).set_state("SUCCESS");
}

/// Who did the steps of a book.
fn done_by(book: &LogBook) -> Vec<&str> {
    let done = |results: &'_ Value| results.get("by").is_some();
    let atoms = book.flow("flow").unwrap().atoms().iter();
    atoms
        .filter(|atom| done(atom.results()))
        .map(|atom| atom.results()["by"].as_str().unwrap())
        .collect()
}

fn kind<T: std::fmt::Debug>(answer: Result<T, jobboard::Error>) -> ErrorKind {
    answer.unwrap_err().kind()
}

/// All of a book, as text.
fn told(book: &LogBook) -> Value {
    let flows = book.flows().iter().map(|flow| {
        let atoms = flow.atoms().iter().map(|atom| {
            json!([
                atom.uuid(),
                atom.name(),
                atom.meta(),
                atom.state(),
                atom.results(),
                atom.version(),
                atom.created_at().map(|at| at.timestamp_micros()),
                atom.updated_at().map(|at| at.timestamp_micros()),
            ])
        });
        let atoms: Vec<_> = atoms.collect();
        json!([flow.uuid(), flow.name(), flow.meta(), flow.state(), atoms])
    });
    let flows: Vec<_> = flows.collect();
    let created = book.created_at().map(|at| at.timestamp_micros());
    json!([book.uuid(), book.name(), book.meta(), created, flows])
}

/// The key of a book, or of what lies in it.
fn key(book: &LogBook, rest: &str) -> Key {
    Key::new(format!("/taskflow/.books/images/{}{rest}", book.uuid())).unwrap()
}

/// What is kept of a book.
async fn kept(store: &Arc<dyn Store>, book: &LogBook) -> Vec<(Key, Revision, Value)> {
    let range = KeyRange::prefix(key(book, ""));
    let found = store.range(RangeRequest::new(range)).await.unwrap().kvs;
    let record = |value: &[u8]| serde_json::from_slice(value).unwrap();
    let found = found.into_iter();
    let found = found.map(|kv| (kv.key, kv.mod_revision, record(&kv.value)));
    found.collect()
}

async fn saved_book_loads_as_it_was(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let meta = |value: &str| Map::from_iter([("file".to_owned(), json!(value))]);
    let mut book = board.books().new_book("thumbnail of a.png");
    book.set_meta(meta("a.png"));
    let flow = book.add_flow("resize").set_state("RUNNING");
    flow.set_meta(meta("b.png"));
    let atom = flow.add_atom("fetch").set_state("SUCCESS");
    atom.set_results(json!([1, 2.5, null, {"ä": "ö"}]));
    atom.set_version("1.2").set_meta(meta("c.png"));
    book.add_flow("a later one").add_atom("upload");
    board.books().create(&mut book).await.unwrap();
    assert!(book.is_saved());

    let again = board.books().load(book.uuid()).await.unwrap();
    assert_eq!(told(&again), told(&book));
    let fetch = again.flow("resize").unwrap().atom("fetch").unwrap();
    assert_eq!(fetch.results()[3]["ä"], "ö");
    assert_eq!(
        (fetch.state(), fetch.version()),
        (Some("SUCCESS"), Some("1.2"))
    );
    assert!(again.is_saved() && again.updated_at() == again.created_at());
    board.close().await;
}

async fn next_owner_goes_on_where_the_last_one_stopped(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, _) = ten_steps(&board).await;
    assert_eq!(job.book_name(), Some("thumbnail"));
    let mut all = Vec::new();
    for owner in ["one", "two", "three", "four"] {
        let claim = board.claim(&job, owner).await.unwrap();
        let mut book = book_of(&claim).await;
        assert_eq!(done_by(&book), all);
        for step in all.len()..10.min(all.len() + 3) {
            note(&mut book, step, owner);
            claim.save_book(&mut book).await.unwrap();
            all.push(owner);
        }
        claim.abandon().await.unwrap();
    }
    let book = job.book().await.unwrap().unwrap();
    assert_eq!((done_by(&book), all.len()), (all, 10));
    board.close().await;
}

async fn book_is_created_once(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let books = board.books();
    let mut book = books.new_book("thumbnail");
    let mut copy = book.clone();
    books.create(&mut book).await.unwrap();
    let before = kept(&store, &book).await;
    copy.add_flow("other").add_atom("step");
    for again in [&mut copy, &mut book] {
        assert_eq!(kind(books.create(again).await), ErrorKind::Invalid);
    }
    assert!(book.is_saved() && !copy.is_saved());
    assert_eq!(kept(&store, &book).await, before);
    board.close().await;
}

async fn large_book_goes_in_several_transactions_and_loads_whole(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut book = board.books().new_book("large");
    let flow = book.add_flow("flow");
    for number in 0..300 {
        let results = json!({"by": "r".repeat(20 << 10), "number": number});
        flow.add_atom(&format!("step {number}"))
            .set_results(results);
    }
    board.books().create(&mut book).await.unwrap();
    let records = kept(&store, &book).await;
    assert_eq!(records.len(), 302);
    let last = records.iter().map(|(_, at, _)| *at).max().unwrap();
    assert_eq!((&records[0].0, records[0].1), (&key(&book, ""), last));

    let job = board.post(NewJob::new("large").book(&book)).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let mut book = book_of(&claim).await;
    let names = |book: &LogBook| -> Vec<String> {
        let atoms = book.flow("flow").unwrap().atoms().iter();
        atoms.map(|atom| atom.name().to_owned()).collect()
    };
    let expected: Vec<_> = (0..300).map(|number| format!("step {number}")).collect();
    assert_eq!(names(&book), expected);
    for name in &expected {
        let flow = book.add_flow("flow").set_state("SUCCESS");
        flow.add_atom(name).set_state("SUCCESS");
    }
    claim.save_book(&mut book).await.unwrap();
    assert!(book.is_saved());
    let again = book_of(&claim).await;
    assert_eq!(told(&again), told(&book));
    claim.consume().await.unwrap();
    board.close().await;
}

async fn book_that_is_not_kept_is_not_found(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let books = board.books();
    let (job, book) = ten_steps(&board).await;
    let claim = board.claim(&job, "one").await.unwrap();
    let mut held = book_of(&claim).await;
    assert!(books.delete(book.uuid()).await.unwrap());
    note(&mut held, 0, "one");
    assert_eq!(kind(claim.save_book(&mut held).await), ErrorKind::NotFound);
    assert!(kept(&store, &book).await.is_empty() && claim.is_held());
    assert_eq!(kind(job.book().await), ErrorKind::NotFound);
    assert_eq!(
        kind(books.load(Uuid::from_u128(1)).await),
        ErrorKind::NotFound
    );

    // A book of the same uuid is another one.
    books.create(&mut book.clone()).await.unwrap();
    assert_eq!(kind(claim.save_book(&mut held).await), ErrorKind::NotFound);
    assert!(done_by(&book_of(&claim).await).is_empty());

    let without = board.post(NewJob::new("without")).await.unwrap();
    assert!(without.book().await.unwrap().is_none());
    board.close().await;
}

async fn broken_record_is_named_and_hides_no_other_book(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let books = board.books();
    let (_, whole) = ten_steps(&board).await;
    for record in [
        "{",
        "hunter2",
        r#"{"uuid": 3}"#,
        r#"{"jobboard": {"v": 2}}"#,
    ] {
        let (job, book) = ten_steps(&board).await;
        let atom = kept(&store, &book).await.pop().unwrap().0;
        store.put(atom.clone(), record.into()).await.unwrap();
        let error = books.load(book.uuid()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{record}");
        let text = error.to_string();
        assert!(text.contains(atom.as_str().unwrap()), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(kind(job.book().await), ErrorKind::Corrupt);
    }

    let (job, book) = ten_steps(&board).await;
    let (own, _, mut newer) = kept(&store, &book).await.remove(0);
    newer["jobboard"]["v"] = json!(2);
    store.put(own, newer.to_string().into()).await.unwrap();
    let error = job.book().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("version 2"), "{error}");

    let listed = books.list().await.unwrap();
    assert_eq!(listed.len(), 6);
    assert!(listed.contains(&(book.uuid(), None)));
    assert!(listed.contains(&(whole.uuid(), Some("thumbnail".to_owned()))));
    assert_eq!(told(&books.load(whole.uuid()).await.unwrap()), told(&whole));
    board.close().await;
}

async fn over_long_record_is_refused_and_nothing_changes(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, book) = ten_steps(&board).await;
    let before = kept(&store, &book).await;
    let claim = board.claim(&job, "one").await.unwrap();
    let mut book = book_of(&claim).await;
    // The others could be saved.
    note(&mut book, 0, "one");
    note(&mut book, 7, &"r".repeat(512 << 10));
    let error = claim.save_book(&mut book).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("\"step 7\""), "{error}");
    assert_eq!(kept(&store, &book).await, before);
    assert!(claim.is_held() && !book.is_saved());

    note(&mut book, 7, &"r".repeat(511 << 10));
    claim.save_book(&mut book).await.unwrap();
    assert_eq!(done_by(&book_of(&claim).await).len(), 2);

    let mut new = board.books().new_book("n".repeat(256));
    assert_eq!(
        kind(board.books().create(&mut new).await),
        ErrorKind::Invalid
    );
    board.close().await;
}

async fn owner_key(store: &Arc<dyn Store>, job: &Job) -> (Key, LeaseId) {
    let lock = Key::new(format!("/taskflow/jobs/images/job{}.lock", job.id())).unwrap();
    let owner = store.get(lock.clone()).await.unwrap().unwrap();
    let owner: Value = serde_json::from_slice(&owner.value).unwrap();
    let lease = LeaseId::new(owner["lease_id"].as_i64().unwrap()).unwrap();
    (lock, lease)
}

/// One owner noted a step and another after it; the first tries to save what it did since.
async fn stale_save(store: &Arc<dyn Store>, one: &Claim, book: &mut LogBook, two: &JobBoard) {
    let job = two.fresh_jobs().await.unwrap().next().unwrap();
    let taken = two.claim(&job, "two").await.unwrap();
    let mut theirs = book_of(&taken).await;
    assert_eq!(done_by(&theirs), ["one"]);
    note(&mut theirs, 1, "two");
    taken.save_book(&mut theirs).await.unwrap();
    let before = kept(store, book).await;

    note(book, 1, "one");
    note(book, 2, "one");
    for _ in 0..2 {
        assert_eq!(kind(one.save_book(book).await), ErrorKind::Lost);
        assert!(!book.is_saved());
    }
    one.lost().await;
    assert_eq!(kept(store, book).await, before);
    assert_eq!(done_by(&book_of(&taken).await), ["one", "two"]);
    note(&mut theirs, 2, "two");
    taken.save_book(&mut theirs).await.unwrap();
    taken.consume().await.unwrap();
}

async fn owner_whose_lease_ended_changes_nothing(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    let (job, _) = ten_steps(&one).await;
    let claim = one.claim(&job, "one").await.unwrap();
    let mut book = book_of(&claim).await;
    note(&mut book, 0, "one");
    claim.save_book(&mut book).await.unwrap();
    let (_, lease) = owner_key(&store, &job).await;
    store.revoke(lease).await.unwrap();
    stale_save(&store, &claim, &mut book, &two).await;
    one.close().await;
    two.close().await;
}

async fn owner_whose_claim_was_taken_changes_nothing(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    let (job, _) = ten_steps(&one).await;
    let claim = one.claim(&job, "one").await.unwrap();
    let mut book = book_of(&claim).await;
    note(&mut book, 0, "one");
    claim.save_book(&mut book).await.unwrap();
    let (lock, _) = owner_key(&store, &job).await;
    store.delete(lock.into()).await.unwrap();
    // The session of the first goes on.
    stale_save(&store, &claim, &mut book, &two).await;
    one.post(NewJob::new("another")).await.unwrap();
    one.close().await;
    two.close().await;
}

async fn copy_of_an_earlier_claim_is_not_saved(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, mut created) = ten_steps(&board).await;
    let first = board.claim(&job, "one").await.unwrap();
    let mut earlier = book_of(&first).await;
    first.abandon().await.unwrap();
    let second = board.claim(&job, "two").await.unwrap();
    let mut book = book_of(&second).await;
    note(&mut book, 0, "two");
    second.save_book(&mut book).await.unwrap();
    second.abandon().await.unwrap();

    let third = board.claim(&job, "one").await.unwrap();
    for stale in [&mut earlier, &mut created, &mut book] {
        note(stale, 0, "one");
        let error = third.save_book(stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().ends_with("read it again"), "{error}");
    }
    assert_eq!(done_by(&book_of(&third).await), ["two"]);
    board.close().await;
}

async fn unknown_fields_stay_when_a_record_is_rewritten(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, book) = ten_steps(&board).await;
    for (key, _, mut record) in kept(&store, &book).await {
        record["failure"] = json!({"odd": [1]});
        record["jobboard"]["later"] = json!("kept");
        store.put(key, record.to_string().into()).await.unwrap();
    }
    let claim = board.claim(&job, "one").await.unwrap();
    let mut book = book_of(&claim).await;
    book.set_meta(Map::from_iter([("a".to_owned(), json!(1))]));
    book.add_flow("flow").set_state("RUNNING");
    note(&mut book, 0, "one");
    claim.save_book(&mut book).await.unwrap();
    let records = kept(&store, &book).await;
    assert_eq!(records.len(), 12);
    for (_, _, record) in records {
        assert_eq!(record["failure"], json!({"odd": [1]}));
        assert_eq!(record["jobboard"]["later"], "kept");
        assert_eq!(record["jobboard"]["v"], 1);
    }
    board.close().await;
}

async fn claim_saves_the_book_of_its_job_alone(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, _) = ten_steps(&board).await;
    let (_, other) = ten_steps(&board).await;
    let claim = board.claim(&job, "one").await.unwrap();
    let mut theirs = board.books().load(other.uuid()).await.unwrap();
    note(&mut theirs, 0, "one");
    assert_eq!(kind(claim.save_book(&mut theirs).await), ErrorKind::Invalid);

    let mut never = board.books().new_book("never created");
    let new = NewJob::new("early").book(&never);
    let job = board.post(new).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    assert_eq!(kind(claim.save_book(&mut never).await), ErrorKind::Invalid);
    assert!(done_by(&board.books().load(other.uuid()).await.unwrap()).is_empty());
    assert!(kept(&store, &never).await.is_empty());
    board.close().await;
}

async fn saves_write_what_changed_alone(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, _) = ten_steps(&board).await;
    let claim = board.claim(&job, "one").await.unwrap();
    let mut book = book_of(&claim).await;
    let before = kept(&store, &book).await;
    claim.save_book(&mut book).await.unwrap();
    assert_eq!(kept(&store, &book).await, before);
    note(&mut book, 3, "one");
    claim.save_book(&mut book).await.unwrap();
    let after = kept(&store, &book).await;
    assert_eq!(after.len(), before.len());
    let written = after.iter().filter(|record| !before.contains(record));
    let written: Vec<_> = written.map(|(_, _, record)| &record["name"]).collect();
    assert_eq!(written, ["step 3"]);
    board.close().await;
}

async fn books_are_listed_and_deleted(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let other = builder("images2").store(Arc::clone(&store));
    let other = other.connect().await.unwrap();
    let books = board.books();
    assert_eq!(books.list().await.unwrap(), []);
    let mut expected = Vec::new();
    for number in 0..40 {
        let mut book = books.new_book(format!("book {number}"));
        book.add_flow("flow").add_atom("step");
        books.create(&mut book).await.unwrap();
        expected.push((book.uuid(), Some(book.name().to_owned())));
    }
    expected.sort();
    assert_eq!(books.list().await.unwrap(), expected);
    assert_eq!(other.books().list().await.unwrap(), []);

    let (gone, _) = expected.remove(17);
    assert!(books.delete(gone).await.unwrap());
    assert!(!books.delete(gone).await.unwrap());
    assert_eq!(books.list().await.unwrap(), expected);
    for (uuid, name) in expected {
        let book = books.load(uuid).await.unwrap();
        assert_eq!(Some(book.name()), name.as_deref());
    }
    other.close().await;
    board.close().await;
}

async fn read_only_handle_reads_and_closed_one_does_not(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (_, book) = ten_steps(&board).await;
    let looking = builder("images").store(Arc::clone(&store)).read_only(true);
    let looking = looking.connect().await.unwrap();
    let books = looking.books();
    assert_eq!(told(&books.load(book.uuid()).await.unwrap()), told(&book));
    let job = looking.fresh_jobs().await.unwrap().next().unwrap();
    assert_eq!(job.book().await.unwrap().unwrap().uuid(), book.uuid());
    assert_eq!(books.list().await.unwrap().len(), 1);
    let mut new = books.new_book("new");
    assert_eq!(kind(books.create(&mut new).await), ErrorKind::Denied);
    assert_eq!(kind(books.delete(book.uuid()).await), ErrorKind::Denied);
    looking.close().await;

    let (closed, books) = (ErrorKind::Closed, board.books());
    board.close().await;
    assert_eq!(kind(books.load(book.uuid()).await), closed);
    assert_eq!(kind(books.list().await), closed);
    assert_eq!(kind(books.create(&mut new).await), closed);
    assert_eq!(kind(books.delete(book.uuid()).await), closed);
    board.connect().await.unwrap();
    assert!(books.delete(book.uuid()).await.unwrap());
    board.close().await;
}
