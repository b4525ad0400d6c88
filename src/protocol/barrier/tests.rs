use super::*;
use crate::protocol::{
    table::{
        ANY, BARRIER,
        Change::{self, Put},
        Lost, PAUSED, Row, SENT, SINCE, Stage, check, check_lost,
    },
    verb::Settled,
};

const NONE: &[Change] = &[];

fn barrier(stage: &Stage) -> Repeatable {
    super::barrier(&stage.keys)
}

#[test]
fn barrier_is_written_in_every_state() {
    let rows = [
        Row {
            name: "no barrier yet",
            since: &[],
            outcome: SENT,
            after: &[(BARRIER, SENT)],
            settled: Settled::Repeat,
        },
        Row {
            name: "barrier of another",
            since: &[Put(BARRIER, ANY)],
            outcome: SENT,
            after: &[(BARRIER, SENT)],
            settled: Settled::Repeat,
        },
        Row {
            name: "paused",
            since: &[Put(PAUSED, ANY)],
            outcome: SENT,
            after: &[(PAUSED, SINCE[0]), (BARRIER, SENT)],
            settled: Settled::Repeat,
        },
    ];
    check(NONE, barrier, rows);
}

#[test]
fn lost_barrier_is_written_again() {
    let rows = [Lost {
        name: "nothing",
        later: &[],
        arrived: Settled::Repeat,
        never_arrived: Settled::Repeat,
    }];
    check_lost(NONE, barrier, rows);
}
