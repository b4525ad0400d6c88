use serde_json::value::RawValue;

use super::*;
use crate::{
    protocol::{
        priority::JobPriority,
        table::{
            ANOTHER_POSTING, ANY, CANCEL, CLAIM,
            Change::{self, Delete, Put},
            DATA, FENCED, FOREIGN, Keys, LAST_MODIFIED, LATER, Lost, NEIGHBOUR, OWNER, PAUSED,
            POSTING, RECEIPT, Row, SENT, SEQUENCE, SINCE, STATE, Stage, TASKFLOWS, UNREADABLE,
            check, check_lost, job,
        },
        terms::Terms,
        time::Timestamp,
    },
    store::{Header, KeyValue, RangeResponse},
};

type Outcome = Result<Revision, Occupied>;

const NOTHING: &[Change] = &[];
/// The uuid that the table's posting has, too.
const UUID: Uuid = CLAIM;

fn post(stage: &Stage) -> Post {
    let posting = NewPosting {
        uuid: UUID,
        name: "n".to_owned(),
        priority: JobPriority::Normal,
        created_on: Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get(),
        details: RawValue::from_string("{}".to_owned()).unwrap(),
        book: None,
        terms: Terms::default(),
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
        outcome: Err(Occupied),
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
