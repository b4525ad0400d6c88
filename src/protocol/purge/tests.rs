use super::*;
use crate::{
    protocol::{
        table::{
            ANY,
            Change::{self, Delete, Put},
            DATA, FENCED, Keys, Lost, PAUSED, POSTING, RECEIPT, Row, SEEN, SENT, SINCE, Stage,
            TRASH, check, check_found, check_lost,
        },
        verb::Receipt,
    },
    store::Key,
};

type Outcome = Result<Revision, Changed>;

const SECOND_PLACE: &str = "/t/.trash/b/job7.1";

/// Two trashed jobs of one number.
const IN_TRASH: &[Change] = &[Put(TRASH, ANY), Put(SECOND_PLACE, ANY)];

fn place(name: &'static str, put: Revision) -> Place {
    let key = Key::new(name).unwrap();
    Place { key, put }
}

fn one(_: &Stage) -> Purge {
    Purge::new([place(TRASH, SEEN[0])])
}

fn both(_: &Stage) -> Purge {
    Purge::new([place(TRASH, SEEN[0]), place(SECOND_PLACE, SEEN[1])])
}

fn purged(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Ok(SENT),
        after,
        settled: Settled::Known(Ok(FENCED)),
    }
}

/// Nothing changes, and no receipt is written.
fn changed(name: &'static str, since: &'static [Change], after: Keys) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(Changed),
        after,
        settled: Settled::DidNotHappen,
    }
}

#[test]
fn record_is_purged_as_it_was_read_and_no_other() {
    #[rustfmt::skip]
    let rows = [
        purged("as read", &[], &[(RECEIPT, SENT), (SECOND_PLACE, SEEN[1])]),
        purged(
            "beside a job of its number, paused",
            &[Put(DATA, POSTING), Put(PAUSED, ANY)],
            &[(PAUSED, SINCE[1]), (RECEIPT, SENT), (SECOND_PLACE, SEEN[1]), (DATA, SINCE[0])],
        ),
        changed("gone", &[Delete(TRASH)], &[(SECOND_PLACE, SEEN[1])]),
        changed(
            "put anew",
            &[Delete(TRASH), Put(TRASH, ANY)],
            &[(TRASH, SINCE[1]), (SECOND_PLACE, SEEN[1])],
        ),
        changed(
            "rewritten",
            &[Put(TRASH, ANY)],
            &[(TRASH, SINCE[0]), (SECOND_PLACE, SEEN[1])],
        ),
    ];
    check(IN_TRASH, one, rows);
}

#[test]
fn records_are_purged_together_or_not_at_all() {
    #[rustfmt::skip]
    let rows = [
        purged("as read", &[], &[(RECEIPT, SENT)]),
        changed("first gone", &[Delete(TRASH)], &[(SECOND_PLACE, SEEN[1])]),
        changed("second gone", &[Delete(SECOND_PLACE)], &[(TRASH, SEEN[0])]),
        changed(
            "second rewritten",
            &[Put(SECOND_PLACE, ANY)],
            &[(TRASH, SEEN[0]), (SECOND_PLACE, SINCE[0])],
        ),
    ];
    check(IN_TRASH, both, rows);
}

#[test]
fn lost_purge_happened_if_the_receipt_says_so() {
    let row = |name, later, arrived| Lost {
        name,
        later,
        arrived,
        never_arrived: Settled::DidNotHappen,
    };
    let done = || Settled::Known(Ok(FENCED));
    let rows = [
        row("nothing else", &[][..], done()),
        row("place taken again", &[Put(TRASH, ANY)], done()),
        row("purged by another, or restored", &[Delete(TRASH)], done()),
        row("receipt gone", &[Delete(RECEIPT)], Settled::DidNotHappen),
    ];
    check_lost(IN_TRASH, both, rows);
}

#[test]
fn record_that_stands_tells_that_nothing_happened_where_there_is_no_receipt() {
    use Receipt::{DoesNotName, Gone, Names};
    let as_read = [(TRASH, ANY, SEEN[0])];
    let other = [(TRASH, ANY, SENT)];
    let done = || Settled::Known(Ok(FENCED));
    #[rustfmt::skip]
    let rows = [
        ("as read, no receipt", &as_read[..], Gone, Settled::DidNotHappen),
        ("another, no receipt", &other, Gone, Settled::CannotTell),
        ("gone, no receipt", &[], Gone, Settled::CannotTell),
        ("gone, named", &[], Names, done()),
        ("another, named", &other, Names, done()),
        ("gone, not named", &[], DoesNotName, Settled::DidNotHappen),
        ("as read, not named", &as_read, DoesNotName, Settled::DidNotHappen),
    ];
    check_found(&one(&Stage::new(IN_TRASH)), rows);
}
