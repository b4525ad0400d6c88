use serde_json::value::RawValue;

use super::*;
use crate::{
    protocol::{
        priority::JobPriority,
        table::{
            ANOTHER_POSTING, ANY, CANCEL, CLAIM,
            Change::{self, Delete, Put},
            DATA, FENCED, FOREIGN, Keys, LAST_MODIFIED, LATER, Lost, NEIGHBOUR, OWNER, PAUSED,
            POSTING, RECEIPT, Row, SEEN, SENT, SEQUENCE, SINCE, STATE, Stage, TASKFLOWS, UNIQUE,
            UNIQUE_POSTING, UNREADABLE, check, check_lost, job,
        },
        terms::Terms,
        time::Timestamp,
        verb::Receipt,
    },
    store::{Header, KeyValue, RangeResponse},
};

type Outcome = Result<Revision, PostRefusal>;

const NOTHING: &[Change] = &[];
/// The uuid that the table's posting has, too.
const UUID: Uuid = CLAIM;

fn post(stage: &Stage) -> Post {
    post_with(stage, None)
}

fn post_with(stage: &Stage, unique: Option<&str>) -> Post {
    let posting = NewPosting {
        uuid: UUID,
        name: "n".to_owned(),
        priority: JobPriority::Normal,
        created_on: Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get(),
        details: RawValue::from_string("{}".to_owned()).unwrap(),
        book: None,
        terms: Terms {
            unique: unique.map(str::to_owned),
            ..Terms::default()
        },
    };
    Post::new(&stage.keys, job(), &posting)
}

/// The posting is written, and the receipt with it.
fn posted(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(SENT)),
    }
}

/// The number is taken, so that nothing changes, and no receipt is written.
fn occupied(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(PostRefusal::Occupied),
        after,
        settled: Settled::DidNotHappen,
    }
}

#[test]
fn posting_is_written_where_no_key_of_its_number_is() {
    let rows = [
        posted("as seen", &[], &[(RECEIPT, SENT), (DATA, SENT)]),
        posted(
            "receipt of an earlier envelope",
            &[Put(RECEIPT, b"4")],
            &[(RECEIPT, SENT), (DATA, SENT)],
        ),
        posted(
            "paused, beside another job",
            &[Put(PAUSED, ANY), Put(NEIGHBOUR, ANY), Put(SEQUENCE, b"70")],
            &[
                (PAUSED, SINCE[0]),
                (RECEIPT, SENT),
                (DATA, SENT),
                (NEIGHBOUR, SINCE[1]),
                (SEQUENCE, SINCE[2]),
            ],
        ),
    ];
    check(NOTHING, post, rows);
}

#[test]
fn number_is_taken_by_any_key_of_a_job() {
    #[rustfmt::skip]
    let rows = [
        occupied("another's", &[Put(DATA, ANOTHER_POSTING)], &[(DATA, SINCE[0])]),
        occupied("unreadable", &[Put(DATA, UNREADABLE)], &[(DATA, SINCE[0])]),
        occupied("owner", &[Put(OWNER, TASKFLOWS)], &[(OWNER, SINCE[0])]),
        occupied("last modified", &[Put(LAST_MODIFIED, ANY)], &[(LAST_MODIFIED, SINCE[0])]),
        occupied("state", &[Put(STATE, ANY)], &[(STATE, SINCE[0])]),
        occupied("request to stop", &[Put(CANCEL, ANY)], &[(CANCEL, SINCE[0])]),
        occupied("foreign", &[Put(FOREIGN, ANY)], &[(FOREIGN, SINCE[0])]),
        occupied(
            "another's, and an earlier receipt",
            &[Put(DATA, ANOTHER_POSTING), Put(RECEIPT, b"4")],
            &[(RECEIPT, SINCE[1]), (DATA, SINCE[0])],
        ),
        Row {
            settled: Settled::Known(Ok(SINCE[0])),
            ..occupied("ours", &[Put(DATA, POSTING)], &[(DATA, SINCE[0])])
        },
    ];
    check(NOTHING, post, rows);
}

#[test]
fn lost_post_happened_if_the_posting_or_the_receipt_is_there() {
    let never = || Settled::DidNotHappen;
    let done = || Settled::Known(Ok(FENCED));
    let there = || Settled::Known(Ok(SENT));
    // Where there is nothing to delete, the put is the first change.
    let anew = |put| Settled::Known(Ok(put));
    let row = |name, later, arrived, never_arrived| Lost {
        name,
        later,
        arrived,
        never_arrived,
    };
    #[rustfmt::skip]
    let rows = [
        row("nothing", NOTHING, there(), never()),
        row("claimed", &[Put(OWNER, TASKFLOWS)], there(), never()),
        row("receipt gone", &[Delete(RECEIPT)], there(), never()),
        row("consumed", &[Delete(DATA)], done(), never()),
        row("made unreadable", &[Put(DATA, UNREADABLE)], done(), never()),
        row("number used again", &[Delete(DATA), Put(DATA, ANOTHER_POSTING)], done(), never()),
        row("put anew", &[Delete(DATA), Put(DATA, POSTING)], anew(LATER[1]), anew(LATER[0])),
        row("consumed, receipt gone", &[Delete(DATA), Delete(RECEIPT)], never(), never()),
        row("consumed, slot used again", &[Delete(DATA), Put(RECEIPT, b"55")], never(), never()),
    ];
    check_lost(NOTHING, post, rows);
}

#[test]
fn receipt_tells_where_the_posting_does_not() {
    use Receipt::{DoesNotName, Gone, Names};
    struct Row {
        name: &'static str,
        data: Option<&'static [u8]>,
        receipt: Receipt,
        settled: Settled<Outcome>,
    }

    let row = |name, data, receipt, settled| Row {
        name,
        data,
        receipt,
        settled,
    };
    let there = || Settled::Known(Ok(SENT));
    let done = || Settled::Known(Ok(FENCED));
    #[rustfmt::skip]
    let rows = [
        row("absent, named", None, Names, done()),
        row("absent, not named", None, DoesNotName, Settled::DidNotHappen),
        row("absent, no receipt", None, Gone, Settled::CannotTell),
        row("ours, named", Some(POSTING), Names, there()),
        row("ours, not named", Some(POSTING), DoesNotName, there()),
        row("ours, no receipt", Some(POSTING), Gone, there()),
        row("another's, named", Some(ANOTHER_POSTING), Names, done()),
        row("another's, not named", Some(ANOTHER_POSTING), DoesNotName, Settled::DidNotHappen),
        row("another's, no receipt", Some(ANOTHER_POSTING), Gone, Settled::CannotTell),
        row("unreadable, named", Some(UNREADABLE), Names, done()),
        row("unreadable, not named", Some(UNREADABLE), DoesNotName, Settled::DidNotHappen),
        row("unreadable, no receipt", Some(UNREADABLE), Gone, Settled::CannotTell),
    ];
    let post = post(&Stage::new(NOTHING));
    for row in rows {
        let read = read_of_data(&post, row.data);
        let evidence = Evidence {
            at: FENCED,
            reads: &[read],
            receipt: row.receipt,
        };
        assert_eq!(post.settle(&evidence), Ok(row.settled), "{}", row.name);
    }
}

fn read_of_data(post: &Post, value: Option<&'static [u8]>) -> RangeResponse {
    let data = value.map(|value| KeyValue {
        key: post.data.clone(),
        value: Bytes::from_static(value),
        create_revision: SENT,
        mod_revision: SENT,
        version: 1,
        lease: None,
    });
    RangeResponse {
        header: Header {
            cluster_id: 1,
            revision: FENCED,
        },
        count: usize::from(data.is_some()),
        kvs: data.into_iter().collect(),
    }
}

/// Where the unique key says that this very job holds it, and that another does.
const SELF: &[u8] = b"/t/jobs/b/job7";
const OTHER: &[u8] = b"/t/jobs/b/job70";

fn post_unique(stage: &Stage) -> Post {
    post_with(stage, Some("k"))
}

/// The unique key is not free, or not as it was read, so that nothing changes.
fn not_unique(
    name: &'static str,
    since: &'static [Change],
    found: Option<(Revision, &'static [u8])>,
    after: Keys,
) -> Row<Outcome> {
    let found = found.map(|(at, text)| (at, Bytes::from_static(text)));
    Row {
        name,
        since,
        outcome: Err(PostRefusal::NotUnique(Found::of(found))),
        after,
        settled: Settled::DidNotHappen,
    }
}

const BOTH: Keys = &[(RECEIPT, SENT), (UNIQUE, SENT), (DATA, SENT)];

#[test]
fn unique_posting_is_written_with_its_key_where_neither_is() {
    let held: Keys = &[(UNIQUE, SINCE[0])];
    #[rustfmt::skip]
    let rows = [
        posted("as seen", &[], BOTH),
        posted(
            "another unique key",
            &[Put("/t/.unique/b/kk", OTHER)],
            &[(RECEIPT, SENT), (UNIQUE, SENT), ("/t/.unique/b/kk", SINCE[0]), (DATA, SENT)],
        ),
        not_unique("held", &[Put(UNIQUE, OTHER)], Some((SINCE[0], OTHER)), held),
        not_unique("says nothing", &[Put(UNIQUE, UNREADABLE)], Some((SINCE[0], UNREADABLE)), held),
        occupied("another's", &[Put(DATA, ANOTHER_POSTING)], &[(DATA, SINCE[0])]),
        occupied("left behind", &[Put(FOREIGN, ANY)], &[(FOREIGN, SINCE[0])]),
        occupied(
            "held, and another's",
            &[Put(UNIQUE, OTHER), Put(DATA, ANOTHER_POSTING)],
            &[(UNIQUE, SINCE[0]), (DATA, SINCE[1])],
        ),
        Row {
            settled: Settled::Known(Ok(SINCE[0])),
            ..occupied(
                "ours",
                &[Put(DATA, UNIQUE_POSTING), Put(UNIQUE, SELF)],
                &[(UNIQUE, SINCE[1]), (DATA, SINCE[0])],
            )
        },
    ];
    check(NOTHING, post_unique, rows);
}

/// Takes over the unique key that `claimant` has, as it was read with the claimant's posting put at
/// `posting`.
fn taking_over(stage: &Stage, posting: Revision) -> Post {
    let found = Found::of(Some((SEEN[0], Bytes::from_static(OTHER))));
    let claimant = found.claimant(&stage.keys).unwrap().unwrap();
    post_unique(stage).taking_over(Some(claimant.stale(&stage.keys, posting)))
}

#[test]
fn stale_unique_key_is_taken_over_while_nothing_of_it_changes() {
    let seen = &[Put(UNIQUE, OTHER)];
    let (as_seen, moved) = (Some((SEEN[0], OTHER)), Some((SINCE[0], OTHER)));
    #[rustfmt::skip]
    let rows = [
        posted("as seen", &[], BOTH),
        not_unique(
            "its holder came",
            &[Put(NEIGHBOUR, UNIQUE_POSTING)],
            as_seen,
            &[(UNIQUE, SEEN[0]), (NEIGHBOUR, SINCE[0])],
        ),
        not_unique("held anew", &[Put(UNIQUE, OTHER)], moved, &[(UNIQUE, SINCE[0])]),
        not_unique("free", &[Delete(UNIQUE)], None, &[]),
        occupied(
            "number taken",
            &[Put(DATA, ANOTHER_POSTING)],
            &[(UNIQUE, SEEN[0]), (DATA, SINCE[0])],
        ),
    ];
    check(seen, |stage| taking_over(stage, Revision::ZERO), rows);
}

#[test]
fn unique_key_is_taken_over_from_a_job_that_does_not_hold_it_while_that_stays_as_it_is() {
    let seen = &[Put(UNIQUE, OTHER), Put(NEIGHBOUR, ANOTHER_POSTING)];
    #[rustfmt::skip]
    let rows = [
        posted(
            "as seen",
            &[],
            &[(RECEIPT, SENT), (UNIQUE, SENT), (DATA, SENT), (NEIGHBOUR, SEEN[1])],
        ),
        not_unique(
            "its holder changed",
            &[Put(NEIGHBOUR, UNIQUE_POSTING)],
            Some((SEEN[0], OTHER)),
            &[(UNIQUE, SEEN[0]), (NEIGHBOUR, SINCE[0])],
        ),
        not_unique(
            "its holder went",
            &[Delete(NEIGHBOUR)],
            Some((SEEN[0], OTHER)),
            &[(UNIQUE, SEEN[0])],
        ),
    ];
    check(seen, |stage| taking_over(stage, SEEN[1]), rows);
}

#[test]
fn lost_unique_post_happened_if_the_posting_or_the_receipt_is_there() {
    let never = || Settled::DidNotHappen;
    let row = |name, later, arrived, never_arrived| Lost {
        name,
        later,
        arrived,
        never_arrived,
    };
    #[rustfmt::skip]
    let rows = [
        row("nothing", NOTHING, Settled::Known(Ok(SENT)), never()),
        row(
            "consumed",
            &[Delete(DATA), Delete(UNIQUE)],
            Settled::Known(Ok(FENCED)),
            never(),
        ),
        row(
            "consumed by one who does not know the key, which was then taken over",
            &[Delete(DATA), Put(UNIQUE, OTHER)],
            Settled::Known(Ok(FENCED)),
            never(),
        ),
    ];
    check_lost(NOTHING, post_unique, rows);
}

#[test]
fn unique_key_names_the_job_that_holds_it() {
    let stage = Stage::new(NOTHING);
    stage.send(&post_unique(&stage)).unwrap();
    assert_eq!(stage.value(UNIQUE).as_bytes(), SELF);
    let found = |text: &'static [u8]| Found::of(Some((SENT, Bytes::from_static(text))));
    let claimant = |text| found(text).claimant(&stage.keys);
    assert_eq!(claimant(SELF).unwrap().unwrap().job, job());
    assert_eq!(Found::of(None).claimant(&stage.keys), Ok(None));
    for odd in [UNREADABLE, b"", b"job7", b"/t/jobs/b/job7.data"] {
        assert!(claimant(odd).is_err(), "{odd:?}");
    }
}
