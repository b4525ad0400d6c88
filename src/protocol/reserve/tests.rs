use super::*;
use crate::protocol::table::{
    Change::{self, Delete, Put},
    Keys, Lost, Row, SEEN, SENT, SEQUENCE, SINCE, Stage, UNREADABLE, check, check_lost,
};

type Outcome = Result<(Block, Revision), ReserveRefusal>;

const NONE: &[Change] = &[];
const TAKEN: &[Change] = &[Put(SEQUENCE, b"41")];

/// Takes three numbers where no counter was seen.
fn reserve_first(stage: &Stage) -> Reserve {
    Reserve::new(&stage.keys, Counter::default(), 3).unwrap()
}

/// Takes three numbers after the 41 that were seen.
fn reserve(stage: &Stage) -> Reserve {
    Reserve::new(&stage.keys, counter(41, SEEN[0]), 3).unwrap()
}

const fn counter(last: u64, mod_revision: Revision) -> Counter {
    Counter { last, mod_revision }
}

fn given(since: &'static [Change], next: u64, last: u64) -> Row<Outcome> {
    Row {
        name: "as seen",
        since,
        outcome: Ok((Block { next, last }, SENT)),
        after: &[(SEQUENCE, SENT)],
        settled: Settled::DidNotHappen,
    }
}

/// Nothing changes.
fn refused(
    name: &'static str,
    since: &'static [Change],
    why: ReserveRefusal,
    after: Keys,
) -> Row<Outcome> {
    Row {
        name,
        since,
        outcome: Err(why),
        after,
        settled: Settled::DidNotHappen,
    }
}

#[test]
fn numbers_are_given_where_the_counter_is_as_seen() {
    check(NONE, reserve_first, [given(&[], 1, 3)]);
    check(TAKEN, reserve, [given(&[], 42, 44)]);
}

#[test]
fn no_number_is_given_where_the_counter_is_not_as_seen() {
    const PUT: Keys = &[(SEQUENCE, SINCE[0])];
    let moved = |last, at| ReserveRefusal::Moved(counter(last, at));
    let unreadable =
        || ReserveRefusal::Unreadable(Unreadable::new("the counter of numbers is no number"));
    let rows = [
        refused("came", &[Put(SEQUENCE, b"9")], moved(9, SINCE[0]), PUT),
        refused("no number", &[Put(SEQUENCE, UNREADABLE)], unreadable(), PUT),
    ];
    check(NONE, reserve_first, rows);
    #[rustfmt::skip]
    let rows = [
        refused("moved", &[Put(SEQUENCE, b"44")], moved(44, SINCE[0]), PUT),
        refused("written the same", &[Put(SEQUENCE, b"41")], moved(41, SINCE[0]), PUT),
        refused("set back", &[Put(SEQUENCE, b"1")], moved(1, SINCE[0]), PUT),
        refused("absent", &[Delete(SEQUENCE)], moved(0, Revision::ZERO), &[]),
        refused("at its end", &[Put(SEQUENCE, b"18446744073709551615")], moved(u64::MAX, SINCE[0]), PUT),
        refused("past its end", &[Put(SEQUENCE, b"18446744073709551616")], unreadable(), PUT),
        refused("empty", &[Put(SEQUENCE, b"")], unreadable(), PUT),
        refused("negative", &[Put(SEQUENCE, b"-1")], unreadable(), PUT),
        refused("no whole number", &[Put(SEQUENCE, b"4.5")], unreadable(), PUT),
        refused("not text", &[Put(SEQUENCE, UNREADABLE)], unreadable(), PUT),
    ];
    check(TAKEN, reserve, rows);
}

#[test]
fn numbers_of_a_lost_answer_are_never_used() {
    let lost = |name, later| Lost {
        name,
        later,
        arrived: Settled::DidNotHappen,
        never_arrived: Settled::DidNotHappen,
    };
    let rows = [
        lost("nothing", NONE),
        lost("moved", &[Put(SEQUENCE, b"50")]),
        lost("absent", &[Delete(SEQUENCE)]),
    ];
    check_lost(TAKEN, reserve, rows);
}

#[test]
fn reserving_again_after_a_lost_answer_goes_on_behind_it() {
    let stage = Stage::new(TAKEN);
    let verb = reserve(&stage);
    stage.send(&verb).unwrap();
    assert_eq!(stage.value(SEQUENCE), "44");
    let refusal = stage.send(&verb).unwrap_err();
    assert_eq!(refusal, ReserveRefusal::Moved(counter(44, SINCE[0])));
}

#[test]
fn numbers_end_with_a_word() {
    let keys = Stage::new(NONE).keys;
    let reserve = |last, count| {
        let reserve = Reserve::new(&keys, counter(last, SEEN[0]), count);
        reserve.map(|reserve| reserve.block.map(JobId::get).collect::<Vec<_>>())
    };
    let end = || Err(Unreadable::new("the counter of numbers is at its end"));
    assert_eq!(
        reserve(u64::MAX - 3, 2),
        Ok(vec![u64::MAX - 2, u64::MAX - 1])
    );
    assert_eq!(reserve(u64::MAX - 3, 3), end());
    assert_eq!(reserve(u64::MAX - 1, 1), end());
    assert_eq!(reserve(u64::MAX, 0), end());
    assert_eq!(reserve(u64::MAX, u32::MAX), end());
}
