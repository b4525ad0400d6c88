//! Jobs that wait for their time.

use super::*;

fn offered(index: &Index) -> Vec<u64> {
    walk(index, true)
}

fn rests(number: u64, delay: Duration, revision: u64) -> Event {
    let state = json!({"delay_ms": u64::try_from(delay.as_millis()).unwrap()});
    put(number, JobPart::State, record::write(&state), revision)
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn job_is_offered_when_its_rest_is_over() {
    let mut index = index();
    apply(&mut index, &[data(1, "NORMAL", 2), rests(1, MINUTE, 2)]);
    apply(&mut index, &[data(2, "NORMAL", 3)]);
    let due = Instant::now() + MINUTE;
    assert_eq!((offered(&index), index.next_due()), (vec![2], Some(due)));
    index.offer_due(due - Duration::from_millis(1));
    assert_eq!(offered(&index), [2]);
    index.offer_due(due);
    assert_eq!((offered(&index), index.next_due()), (vec![1, 2], None));
    // What does not concern its rest leaves it offered.
    apply(&mut index, &[put(1, JobPart::LastModified, "{}", 4)]);
    assert_eq!(offered(&index), [1, 2]);
    apply(&mut index, &[rests(1, MINUTE, 5)]);
    assert_eq!((offered(&index), index.next_due()), (vec![2], Some(due)));
}

#[tokio::test(start_paused = true)]
async fn job_that_is_claimed_or_gone_is_not_offered_when_its_rest_is_over() {
    let mut index = index();
    for number in [1, 2, 3] {
        apply(
            &mut index,
            &[
                data(number, "NORMAL", number + 1),
                rests(number, MINUTE, number + 1),
            ],
        );
    }
    apply(&mut index, &[owner(1, 6)]);
    apply(&mut index, &[delete(2, JobPart::Data, 7)]);
    apply(&mut index, &[put(3, JobPart::State, "?", 8)]);
    assert_eq!(index.next_due(), None);
    index.offer_due(Instant::now() + MINUTE);
    assert!(offered(&index).is_empty());
    // It was given back without a word: its rest is over, it had been claimed.
    apply(
        &mut index,
        &[
            delete(1, JobPart::Owner, 9),
            put(1, JobPart::State, "{}", 9),
        ],
    );
    assert_eq!(offered(&index), [1]);
}

#[tokio::test(start_paused = true)]
async fn job_whose_owners_died_in_a_row_rests_from_when_the_last_one_is_seen_to_go() {
    let mut index = index();
    let state = |unsettled: u32| record::write(&json!({"unsettled": unsettled}));
    for (number, unsettled) in [(1, 1), (2, 2)] {
        let state = put(number, JobPart::State, state(unsettled), 3);
        apply(
            &mut index,
            &[data(number, "NORMAL", 2), state, owner(number, 3)],
        );
    }
    tokio::time::advance(MINUTE).await;
    apply(
        &mut index,
        &[delete(1, JobPart::Owner, 4), delete(2, JobPart::Owner, 4)],
    );
    assert_eq!(offered(&index), [1]);
    let due = index.next_due().unwrap() - Instant::now();
    assert!(due <= Duration::from_millis(500), "{due:?}");
}

#[tokio::test(start_paused = true)]
async fn rest_does_not_begin_anew_when_a_client_gives_back_that_knows_of_none() {
    let mut index = index();
    let state = json!({"delay_ms": 3_600_000, "not_before": "1970-01-01T00:00:00.000000"});
    let state = put(1, JobPart::State, record::write(&state), 2);
    apply(&mut index, &[data(1, "NORMAL", 2), state]);
    assert!(offered(&index).is_empty());
    // TaskFlow claims it all the same, and writes no state.
    apply(&mut index, &[owner(1, 3)]);
    apply(&mut index, &[delete(1, JobPart::Owner, 4)]);
    assert_eq!(offered(&index), [1]);
}

#[tokio::test(start_paused = true)]
async fn list_does_not_begin_a_rest_anew() {
    let mut old = index();
    apply(&mut old, &[data(1, "NORMAL", 2), rests(1, MINUTE, 2)]);
    apply(&mut old, &[data(2, "NORMAL", 3), rests(2, MINUTE, 3)]);
    let due = Instant::now() + MINUTE;
    tokio::time::advance(MINUTE / 2).await;
    let mut new = listing(vec![
        data(1, "NORMAL", 2),
        rests(1, MINUTE, 2),
        data(2, "NORMAL", 3),
        rests(2, 2 * MINUTE, 4),
    ]);
    new.succeed(&old, at(5));
    assert_eq!(new.next_due(), Some(due));
    new.offer_due(due);
    assert_eq!(
        (offered(&new), new.next_due()),
        (vec![1], Some(due + MINUTE / 2 + MINUTE))
    );
}

#[tokio::test(start_paused = true)]
async fn list_leaves_a_job_where_it_is_whatever_the_clock_says_of_who_put_it_off() {
    let rests_until = |number, time, revision| {
        let state = json!({"delay_ms": 60_000, "not_before": time});
        put(number, JobPart::State, record::write(&state), revision)
    };
    let ahead = [
        data(1, "NORMAL", 2),
        rests_until(1, "1970-01-01T01:00:00.000000", 2),
    ];
    let behind = [
        data(2, "NORMAL", 3),
        rests_until(2, "1970-01-01T00:00:00.000000", 3),
    ];
    let mut old = index();
    apply(&mut old, &ahead);
    tokio::time::advance(MINUTE).await;
    old.offer_due(Instant::now());
    apply(&mut old, &behind);
    let due = Instant::now() + MINUTE;
    assert_eq!((offered(&old), old.next_due()), (vec![1], Some(due)));
    tokio::time::advance(MINUTE / 2).await;
    let mut new = listing([ahead, behind].concat());
    assert_eq!(offered(&new), [2]);
    new.succeed(&old, at(4));
    assert_eq!((offered(&new), new.next_due()), (vec![1], Some(due)));
    new.offer_due(due);
    assert_eq!((offered(&new), new.next_due()), (vec![1, 2], None));
}
