//! What a board does with records that nobody of good will wrote: odd ones of a table, and made up by
//! chance from a seed. Good jobs go their way meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use jobboard::{
    Conductor, Context, Ended, ErrorKind, EventKinds, Job, JobBoard, JobId, NewJob, Outcome, Step,
    random::Random,
    store::{Key, Store, StoreExt},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use self::support::{board, stories};

stories! {
    odd_values_of_every_key_harm_no_good_job
    odd_fields_of_postings_harm_no_good_job
    odd_fields_beside_postings_harm_no_good_job
    odd_keys_harm_no_good_job_and_are_told
    records_that_clash_are_told_apart
    counter_that_is_no_number_is_told_and_can_be_mended
    chance_finds_nothing_that_harms_a_good_job
    many_and_large_unreadable_records_are_counted_and_not_kept
    records_as_large_as_etcd_takes_end_no_conductor
    twin_that_can_not_be_claimed_hides_no_job_from_a_conductor
    job_goes_into_the_trash_however_many_of_its_places_are_taken
}

/// More than any call on a board takes.
const BOUND: Duration = Duration::from_secs(20);

/// A posting that can be read, with that field in the place of its own.
fn posting(field: &str, value: &Value) -> Value {
    let mut posting = json!({
        "uuid": Uuid::from_u128(77), "name": "odd", "priority": "NORMAL",
        "created_on": "2026-01-31T12:00:00.000000", "details": {"file": "a.png"},
        "book": {"name": "b", "uuid": Uuid::from_u128(78)}, "sequence": 7,
        "jobboard": {"v": 1, "max_attempts": 3, "unique": "u"},
    });
    posting[field] = value.clone();
    posting
}

/// A posting that can be read.
fn readable() -> String {
    posting("name", &json!("n")).to_string()
}

fn key(rest: impl AsRef<[u8]>) -> Key {
    Key::new([b"/taskflow/", rest.as_ref()].concat()).unwrap()
}

async fn put(store: &Arc<dyn Store>, rest: impl AsRef<[u8]>, value: impl Into<Bytes>) {
    store.put(key(rest), value.into()).await.unwrap();
}

/// Values that are wrong wherever they are.
fn odd_values() -> Vec<Bytes> {
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let large = posting("details", &json!({"a": "x".repeat(900 << 10)}));
    let texts = [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "18446744073709551616".to_owned(),
        "-1".to_owned(),
        "1e999".to_owned(),
        "\"text\"".to_owned(),
        deep("[", "]"),
        deep(r#"{"a":"#, "}").replace(":}", ":0}"),
        posting("jobboard", &json!({"v": 99})).to_string(),
        posting("details", &json!({}))
            .to_string()
            .replace("{}", &deep("[", "]")),
        posting("details", &json!({}))
            .to_string()
            .replace("{}", r#"{"a":{"$serde_json::private::RawValue":"{"}}"#),
        large.to_string(),
        // What is at its longest can still be written.
        "x".repeat(1 << 20),
    ];
    let bytes = [
        &b"\xff\xfe"[..],
        b"\0",
        b"{\"a\":\"\xc3\"}",
        b"\xed\xa0\x80",
    ];
    let texts = texts.into_iter().map(Bytes::from);
    texts.chain(bytes.map(Bytes::from_static)).collect()
}

/// Values that a field can have and should not.
fn odd_fields() -> Vec<Value> {
    let text = |length| Value::from("x".repeat(length));
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e300),
        json!([]),
        json!({}),
        json!([[[{}]]]),
        text(0),
        text(100_000),
        json!("\0\u{1b}[2J\u{9b}2J\u{202e}\n"),
        json!("9999-12-31T23:59:59.999999Z"),
        json!("+262142-12-31T23:59:60"),
        json!("-262143-01-01T00:00:00"),
        json!(Uuid::nil()),
    ]
}

/// Proves that a board on which anything lies does what it is for: jobs are posted, seen, claimed,
/// told of, consumed, trashed and restored; and that all that can be looked at can be.
async fn serves(store: &Arc<dyn Store>) -> JobBoard {
    timeout(BOUND, async {
        let board = board(store).await;
        let mut events = board.events(EventKinds::ANY).unwrap();
        let good = [(); 3].map(|()| NewJob::new("good").details(json!({"file": "a.png"})));
        for posted in board.post_many(good).await {
            let job = posted.unwrap();
            let seen = board.fresh_jobs().await.unwrap();
            assert!(seen.into_iter().any(|seen| seen.uuid() == job.uuid()));
            let claim = board.claim(&job, "worker").await.unwrap();
            claim.abandon().await.unwrap();
            let claim = board.claim(&job, "worker").await.unwrap();
            claim.trash("why").await.unwrap();
            let ended = job.wait(None).await.unwrap();
            assert_eq!(ended, Ended::Trashed(Some("why".to_owned())));
            let trashed = board.trash_review().list().await.unwrap().jobs;
            let trashed = trashed.iter().find(|it| it.uuid() == job.uuid());
            let job = board
                .trash_review()
                .restore(trashed.unwrap())
                .await
                .unwrap();
            let claim = board.claim(&job, "worker").await.unwrap();
            claim.consume_with(json!(1)).await.unwrap();
            assert_eq!(
                job.wait(None).await.unwrap(),
                Ended::Consumed(Some(json!(1)))
            );
            while events.next().await.unwrap().job().map(Job::uuid) != Some(job.uuid()) {}
        }
        look_at_all(&board).await;
        board
    })
    .await
    .unwrap()
}

/// Looks at all that a board shows, and tries to do what is to be done with each job that it shows.
async fn look_at_all(board: &JobBoard) {
    for job in board.fresh_jobs().await.unwrap() {
        _ = (
            job.details(),
            job.to_string(),
            format!("{job:?}"),
            job.state(),
        );
        _ = (
            job.progress(),
            job.last_reason(),
            job.not_before(),
            job.is_suspect(),
        );
        _ = (job.created_on(), job.last_modified(), job.cancel_request());
        _ = board.find_owner(&job);
        _ = job.details_as::<Value>();
        _ = job.book().await;
        if let Ok(claim) = board.claim(&job, "worker").await {
            _ = claim.progress(0.5, None).await;
            claim.abandon().await.unwrap();
        }
    }
    let list = board.trash_review().list().await.unwrap();
    for trashed in &list.jobs {
        _ = (trashed.details(), trashed.to_string(), trashed.reason());
    }
    _ = board.entities().await.unwrap().list();
    for (book, _) in board.books().list().await.unwrap() {
        _ = board.books().load(book).await;
    }
    _ = board.paused().await.unwrap();
    _ = (board.next_due(), board.unreadable(), board.counts());
}

/// Asks each job that is shown to stop, whatever comes of it.
async fn stop_all(board: JobBoard) {
    for job in board.jobs() {
        _ = timeout(BOUND, board.cancel(&job, "ops", None))
            .await
            .unwrap();
    }
    board.close().await;
}

/// The keys, after the namespace, at which a board keeps a record of each kind.
fn places() -> Vec<String> {
    let uuid = Uuid::from_u128(77);
    let mut places: Vec<_> = ["data", "lock", "last_modified", "state", "cancel", "odd"]
        .map(|part| format!("jobs/images/job900.{part}"))
        .to_vec();
    places.extend([
        ".trash/images/job901".to_owned(),
        ".trash/images/job901.1".to_owned(),
        ".trash/images/quarantined.job902.data".to_owned(),
        ".done/images/job900".to_owned(),
        ".unique/images/u".to_owned(),
        format!(".sessions/images/{uuid}"),
        format!(".sessions/images/{uuid}.0"),
        format!(".sessions/images/{uuid}.released/900"),
        format!(".entities/images/conductor/one/{uuid}"),
        format!(".books/images/{uuid}"),
        format!(".books/images/{uuid}/{uuid}"),
        format!(".books/images/{uuid}/{uuid}/{uuid}"),
        ".control/images/other".to_owned(),
        "jobs/images/job0.barrier".to_owned(),
    ]);
    places
}

async fn odd_values_of_every_key_harm_no_good_job(store: Arc<dyn Store>) {
    let good = posting("name", &json!("beside"));
    for value in odd_values() {
        for place in places() {
            put(&store, &place, value.clone()).await;
        }
        // Beside what can not be read of a job, and beside what can.
        for part in ["lock", "last_modified", "state", "cancel"] {
            put(&store, format!("jobs/images/job903.{part}"), value.clone()).await;
        }
        put(&store, "jobs/images/job903.data", good.to_string()).await;
        stop_all(serves(&store).await).await;
    }
}

async fn odd_fields_of_postings_harm_no_good_job(store: Arc<dyn Store>) {
    for field in [
        "uuid",
        "name",
        "priority",
        "created_on",
        "details",
        "book",
        "jobboard",
    ] {
        for (number, value) in (1_000..).zip(odd_fields()) {
            let posting = posting(field, &value).to_string();
            put(
                &store,
                format!("jobs/images/job{number}.data"),
                posting.clone(),
            )
            .await;
            put(&store, format!(".trash/images/job{number}"), posting).await;
        }
        stop_all(serves(&store).await).await;
    }
}

async fn odd_fields_beside_postings_harm_no_good_job(store: Arc<dyn Store>) {
    let of = |fields: &[&str], value: &Value| {
        let fields = fields
            .iter()
            .map(|field| ((*field).to_owned(), value.clone()));
        Value::Object(fields.collect()).to_string()
    };
    let state = [
        "attempts",
        "unsettled",
        "claim",
        "last_owner",
        "reason",
        "not_before",
        "delay_ms",
        "progress",
    ];
    for (number, value) in (2_000..).zip(odd_fields()) {
        let job = format!("jobs/images/job{number}");
        put(&store, format!("{job}.data"), readable()).await;
        put(
            &store,
            format!("{job}.lock"),
            of(&["owner", "lease_id", "jobboard"], &value),
        )
        .await;
        put(
            &store,
            format!("{job}.last_modified"),
            of(&["last_modified"], &value),
        )
        .await;
        put(
            &store,
            format!("{job}.cancel"),
            of(&["requested_by", "reason", "requested_on"], &value),
        )
        .await;
        put(&store, format!("{job}.state"), of(&state, &value)).await;
        for field in state {
            let number = number + 100 + state.iter().position(|it| *it == field).unwrap() * 20;
            let job = format!("jobs/images/job{number}");
            put(&store, format!("{job}.data"), readable()).await;
            put(&store, format!("{job}.state"), of(&[field], &value)).await;
        }
    }
    stop_all(serves(&store).await).await;
}

async fn odd_keys_harm_no_good_job_and_are_told(store: Arc<dyn Store>) {
    let odd: [&[u8]; 16] = [
        b"job0",
        b"job0.data",
        b"job00.data",
        b"job01.data",
        b"job1",
        b"job1.",
        b"job1.DATA",
        b"job1.data.data",
        b"job1.data ",
        b"job1\0.data",
        b"job1.\xff\xfe",
        b"job\x31\xe2\x80\xae.data",
        b"job1.\x1b[2J",
        b"job9/../job1.data",
        b"job18446744073709551616.data",
        b"job9999999999999999999999999999.lock",
    ];
    let odd = odd.map(|rest| [b"jobs/images/", rest].concat());
    for place in &odd {
        put(&store, place, readable()).await;
    }
    let mut last = posting("name", &json!("last"));
    last["uuid"] = json!(Uuid::from_u128(1));
    put(
        &store,
        "jobs/images/job18446744073709551615.data",
        last.to_string(),
    )
    .await;
    // Beside the board, and none of its.
    for beside in [
        "jobs/images/job:1.data",
        "jobs/images/job-1.data",
        "jobs/images2/job1.data",
    ] {
        put(&store, beside, "garbage").await;
    }
    let board = serves(&store).await;
    let told: BTreeSet<_> = board.unreadable().into_iter().map(|it| it.key).collect();
    assert_eq!(told, odd.iter().map(key).collect());
    let last = board.get(JobId::new(u64::MAX).unwrap()).unwrap();
    board.trash_unclaimed(&last, "ops", "why").await.unwrap();
    for unreadable in board.unreadable() {
        let review = board.trash_review();
        review.quarantine(&unreadable, "ops", None).await.unwrap();
    }
    board.fresh_jobs().await.unwrap();
    assert_eq!(board.unreadable(), []);
    let list = board.trash_review().list().await.unwrap();
    assert_eq!((list.jobs.len(), list.quarantined.len()), (1, odd.len()));
    assert_eq!(list.unreadable, []);
    board.close().await;
}

async fn records_that_clash_are_told_apart(store: Arc<dyn Store>) {
    let twin = posting("name", &json!("twin")).to_string();
    for number in [900, 901] {
        put(
            &store,
            format!("jobs/images/job{number}.data"),
            twin.clone(),
        )
        .await;
    }
    // A job of the board that is in the trash and has a result too.
    put(&store, ".trash/images/job900", twin.clone()).await;
    put(
        &store,
        ".done/images/job901",
        json!({"uuid": Uuid::from_u128(77), "result": 5}).to_string(),
    )
    .await;
    put(&store, "jobs/images/job902.lock", r#"{"owner": "nobody"}"#).await;
    put(
        &store,
        "jobs/images/job903.state",
        r#"{"attempts": 4294967295, "unsettled": 4294967295}"#,
    )
    .await;
    put(
        &store,
        "jobs/images/job903.data",
        posting("uuid", &json!(Uuid::from_u128(1))).to_string(),
    )
    .await;
    put(
        &store,
        ".unique/images/gone",
        "/taskflow/jobs/images/job999",
    )
    .await;
    put(&store, ".unique/images/odd", b"\xff".to_vec()).await;
    let board = serves(&store).await;
    let missing: Vec<_> = board.unreadable().into_iter().map(|it| it.key).collect();
    assert_eq!(missing, [key("jobs/images/job902.data")]);
    let of = |number| board.get(JobId::new(number).unwrap());
    assert_eq!(board.find(Uuid::from_u128(77)).unwrap().id().get(), 900);
    // It was tried too often.
    assert!(of(903).is_none());

    let new = || NewJob::new("n").unique("gone");
    let job = board.post(new()).await.unwrap();
    assert!(!job.existed());
    assert_eq!(board.post(new()).await.unwrap().id(), job.id());
    let odd = board.post(NewJob::new("n").unique("odd")).await;
    assert_eq!(odd.unwrap_err().kind(), ErrorKind::Corrupt);
    board.cancel(&of(900).unwrap(), "ops", None).await.unwrap();
    board.fresh_jobs().await.unwrap();
    assert!(of(900).is_none());
    assert_eq!(board.find(Uuid::from_u128(77)).unwrap().id().get(), 901);
    let claim = board.claim(&of(901).unwrap(), "worker").await.unwrap();
    claim.consume().await.unwrap();
    board.close().await;
}

async fn counter_that_is_no_number_is_told_and_can_be_mended(store: Arc<dyn Store>) {
    let max = u64::MAX.to_string();
    for odd in [
        &b"garbage"[..],
        b"",
        b"-1",
        b"1.5",
        b"\xff",
        b"18446744073709551616",
        max.as_bytes(),
    ] {
        put(&store, "jobs/images/sequence", odd.to_vec()).await;
        let board = board(&store).await;
        let refused = timeout(BOUND, board.post(NewJob::new("n"))).await.unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
        put(&store, "jobs/images/sequence", "00041").await;
        let job = board.post(NewJob::new("n")).await.unwrap();
        let claim = board.claim(&job, "worker").await.unwrap();
        claim.consume().await.unwrap();
        board.close().await;
    }
}

async fn chance_finds_nothing_that_harms_a_good_job(store: Arc<dyn Store>) {
    const WRITES: usize = 300;
    for seed in 1..=3 {
        let random = Random::seeded(seed);
        let any = |of: usize| usize::try_from(random.number()).unwrap() % of;
        let places = places();
        let (fields, values) = (odd_fields(), odd_values());
        for _ in 0..WRITES {
            let place = places[any(places.len())].replace("90", &(90 + any(5)).to_string());
            let field = ["uuid", "name", "priority", "details", "jobboard"][any(5)];
            let mut value = match any(4) {
                0 => values[any(values.len())].to_vec(),
                1 => posting(field, &fields[any(fields.len())])
                    .to_string()
                    .into_bytes(),
                2 => {
                    br#"{"owner":"o","lease_id":7,"jobboard":{"session":"0","claim":"1"}}"#.to_vec()
                }
                _ => br#"{"attempts":1,"unsettled":1,"progress":{"fraction":0.5}}"#.to_vec(),
            };
            for _ in 0..any(4) {
                let at = any(value.len() + 1);
                match any(3) {
                    0 if at < value.len() => value[at] = random.number().to_le_bytes()[0],
                    1 if at < value.len() => drop(value.drain(at..(at + any(9)).min(value.len()))),
                    _ => value.insert(at, random.number().to_le_bytes()[0]),
                }
            }
            put(&store, &place, value).await;
        }
        stop_all(serves(&store).await).await;
    }
}

async fn many_and_large_unreadable_records_are_counted_and_not_kept(store: Arc<dyn Store>) {
    const LARGE: usize = 20;
    const SMALL: usize = 1_500;
    for number in 0..LARGE {
        put(
            &store,
            format!("jobs/images/job{}.data", 10_000 + number),
            "x".repeat(1 << 20),
        )
        .await;
    }
    let before = serves(&store).await;
    let odd = (0..SMALL).map(|number| {
        let (store, place) = (
            Arc::clone(&store),
            format!("jobs/images/job{}.data", 20_000 + number),
        );
        async move { put(&store, place, "{").await }
    });
    futures::future::join_all(odd).await;
    let listed = serves(&store).await;
    before.fresh_jobs().await.unwrap();
    for board in [before, listed] {
        assert_eq!(board.unreadable().len(), 1_000);
        assert_eq!(board.counts().unreadable, (LARGE + SMALL) as u64);
        assert_eq!(board.job_count(), 0);
        board.close().await;
    }
}

/// A conductor that consumes each job.
fn conductor(board: &JobBoard) -> Conductor {
    Conductor::builder(board, "thumbnails")
        .with(|_: Context, _: Value| async { Ok(Outcome::Consume) })
        .unwrap()
}

async fn is_done(job: &Job) {
    let ended = job.wait(Some(BOUND)).await.unwrap();
    assert_eq!(ended, Ended::Consumed(None));
}

/// A record of that length, for a field that nobody knows.
fn of_length(length: usize, mut record: Value) -> String {
    record["later"] = json!("");
    let rest = length - record.to_string().len();
    record["later"] = json!("x".repeat(rest));
    record.to_string()
}

/// How many bytes etcd takes in one request.
const MOST: usize = 3 << 19;

/// The state of a job that was tried as often as it may be.
const TRIED_OUT: &str = r#"{"attempts": 3}"#;

async fn records_as_large_as_etcd_takes_end_no_conductor(store: Arc<dyn Store>) {
    let urgent = || posting("priority", &json!("VERY_HIGH"));
    let reason = |length| json!({"reason": "x".repeat(length)});
    let mut failed = reason(4_000);
    failed["attempts"] = json!(3);
    failed["last_owner"] = json!("w");
    for (part, record) in [
        ("900.data", urgent().to_string()),
        ("900.state", of_length(MOST - 200, json!({}))),
        ("901.data", of_length(MOST - 200, urgent())),
        ("901.state", TRIED_OUT.to_owned()),
        ("902.data", of_length(MOST - 3_000, urgent())),
        ("902.state", failed.to_string()),
        ("903.data", urgent().to_string()),
        ("903.cancel", reason(60_000).to_string()),
        ("904.data", urgent().to_string()),
        ("904.cancel", reason(MOST - 300).to_string()),
    ] {
        put(&store, format!("jobs/images/job{part}"), record).await;
    }
    let board = board(&store).await;
    let post = || board.post(NewJob::new("good"));
    let good = post().await.unwrap();
    board.fresh_jobs().await.unwrap();
    let conductor = conductor(&board);
    let events = conductor.events();
    let running = tokio::spawn({
        let conductor = conductor.clone();
        async move { conductor.run().await }
    });
    // The others are more urgent: each was tried when this is.
    is_done(&good).await;
    is_done(&post().await.unwrap()).await;
    conductor.stop();
    timeout(BOUND, running).await.unwrap().unwrap().unwrap();
    drop(conductor);

    let refused = events.filter_map(async |event| match event.step {
        Step::Refused(_) => event.job.map(|job| job.id().get()),
        _ => None,
    });
    let refused: BTreeSet<_> = refused.collect().await;
    assert_eq!(refused, [901].into());
    let trashed = board.trash_review().list().await.unwrap().jobs;
    let reasons: BTreeMap<_, _> = trashed
        .iter()
        .map(|it| (it.id().get(), it.reason().map(str::len)))
        .collect();
    // What does not fit goes without its reason, and not at all if that does not help.
    let cut = [
        (902, None),
        (903, Some(4_096)),
        (904, Some("cancelled".len())),
    ];
    assert_eq!(reasons, cut.into());
    board.close().await;
}

async fn twin_that_can_not_be_claimed_hides_no_job_from_a_conductor(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let good = board.post(NewJob::new("good")).await.unwrap();
    let mut twin = posting("priority", &json!("VERY_HIGH"));
    twin["uuid"] = json!(good.uuid());
    put(&store, "jobs/images/job900.state", TRIED_OUT).await;
    // It does not fit into the trash.
    let twin = of_length(MOST - 200, twin);
    put(&store, "jobs/images/job900.data", twin).await;
    board.fresh_jobs().await.unwrap();
    let conductor = conductor(&board);
    let running = tokio::spawn({
        let conductor = conductor.clone();
        async move { conductor.run().await }
    });
    is_done(&good).await;
    conductor.stop();
    timeout(BOUND, running).await.unwrap().unwrap().unwrap();
    assert!(board.get(JobId::new(900).unwrap()).is_some());
    board.close().await;
}

async fn job_goes_into_the_trash_however_many_of_its_places_are_taken(store: Arc<dyn Store>) {
    const TAKEN: usize = 40;
    let board = board(&store).await;
    let [held, free] = [(); 2].map(|()| board.post(NewJob::new("n")));
    let (held, free) = (held.await.unwrap(), free.await.unwrap());
    put(&store, "jobs/images/job900.data", "{").await;
    board.fresh_jobs().await.unwrap();
    let names = [
        format!("job{}", held.id()),
        format!("job{}", free.id()),
        "quarantined.job900.data".to_owned(),
    ];
    let places = names.map(|name| format!(".trash/images/{name}"));
    for place in &places {
        put(&store, place, "taken").await;
        for copy in 1..TAKEN {
            put(&store, format!("{place}.{copy}"), "taken").await;
        }
    }
    let claim = board.claim(&held, "worker").await.unwrap();
    claim.trash("why").await.unwrap();
    board.trash_unclaimed(&free, "ops", "why").await.unwrap();
    let (review, unreadable) = (board.trash_review(), board.unreadable());
    review
        .quarantine(&unreadable[0], "ops", None)
        .await
        .unwrap();

    let list = review.list().await.unwrap();
    assert_eq!((list.jobs.len(), list.quarantined.len()), (2, 1));
    for job in [held, free] {
        let ended = job.wait(None).await.unwrap();
        assert_eq!(ended, Ended::Trashed(Some("why".to_owned())));
    }
    // Who tries one place after the other would have found the first free one.
    for place in places {
        let first_free = store.get(key(format!("{place}.{TAKEN}"))).await.unwrap();
        assert_eq!(first_free, None);
    }
    board.close().await;
}
