use super::*;
use crate::{
    JobBoard, NewJob,
    protocol::{keys::JobPart, state::StateRecord},
    store::{Memory, StoreExt},
};

const SECOND: Duration = Duration::from_secs(1);

struct Stage {
    store: Memory,
    board: JobBoard,
    claim: Claim,
}

async fn setup() -> Stage {
    setup_with(SECOND).await
}

async fn setup_with(every: Duration) -> Stage {
    let store = Memory::new();
    let board = JobBoard::builder("films").store(store.clone());
    let board = board.progress_every(every).connect().await.unwrap();
    let job = board.post(NewJob::new("cut")).await.unwrap();
    let claim = board.claim(&job, "cutter").await.unwrap();
    Stage {
        store,
        board,
        claim,
    }
}

impl Stage {
    async fn tell(&self, fraction: f64) {
        self.claim.progress(fraction, None).await.unwrap();
    }

    /// What is written of the progress of the job, and how often its state was written before.
    async fn written(&self) -> (Option<f64>, u64) {
        let key = self.board.0.keys.job(self.claim.job().id(), JobPart::State);
        let state = self.store.get(key).await.unwrap().unwrap();
        let progress = StateRecord::read(&state.value).unwrap().progress;
        // The first is the claim's.
        (
            progress.map(|progress| progress.fraction),
            state.version - 1,
        )
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn first_is_written_at_once_and_of_those_that_come_too_soon_the_last_in_its_time() {
    let stage = setup().await;
    stage.tell(0.1).await;
    assert_eq!(stage.written().await, (Some(0.1), 1));
    let told = Instant::now();
    for fraction in [0.2, 0.3, 0.4] {
        stage.tell(fraction).await;
    }
    assert_eq!(told.elapsed(), Duration::ZERO, "nobody waits for these");
    pass(Duration::from_millis(999)).await;
    assert_eq!(stage.written().await, (Some(0.1), 1));
    pass(Duration::from_millis(2)).await;
    assert_eq!(stage.written().await, (Some(0.4), 2));
    pass(10 * SECOND).await;
    assert_eq!(stage.written().await, (Some(0.4), 2));
    stage.tell(0.5).await;
    assert_eq!(stage.written().await, (Some(0.5), 3));
}

#[tokio::test(start_paused = true)]
async fn who_never_stops_telling_is_heard_once_a_second() {
    let stage = setup().await;
    let tenth = SECOND / 10;
    for step in 0..100 {
        stage.tell(f64::from(step) / 100.0).await;
        pass(tenth).await;
    }
    pass(SECOND).await;
    let (last, times) = stage.written().await;
    assert_eq!(last, Some(0.99));
    assert!((10..=11).contains(&times), "{times}");
}

#[test]
fn nothing_older_is_written_over_what_is_newer() {
    let (pace, start) = (Pace::new(SECOND), Instant::now());
    assert_eq!(pace.ask(1, start), Asked::Now(1));
    assert_eq!(pace.ask(2, start), Asked::Kept { first: true });
    assert_eq!(pace.ask(3, start), Asked::Kept { first: false });
    let next = start + SECOND;
    assert_eq!(pace.due(start), Due::At(next));
    // Who waited for the time of the third comes late.
    assert_eq!(pace.ask(4, next), Asked::Now(4));
    assert_eq!(pace.ask(5, next), Asked::Kept { first: false });
    assert_eq!(pace.due(next), Due::At(next + SECOND));
    assert_eq!(pace.due(next + SECOND), Due::Now(5));
    assert_eq!(pace.due(next + SECOND), Due::Nothing);
    // Nobody waits any more.
    assert_eq!(pace.ask(6, next + SECOND), Asked::Kept { first: true });
    assert_eq!(pace.ask(7, next + 2 * SECOND), Asked::Now(7));
    assert_eq!(pace.due(next + 2 * SECOND), Due::Nothing);
}

#[tokio::test(start_paused = true)]
async fn all_are_written_where_there_is_no_limit() {
    let stage = setup_with(Duration::ZERO).await;
    for (times, fraction) in (1..).zip([0.1, 0.2, 0.3]) {
        stage.tell(fraction).await;
        assert_eq!(stage.written().await, (Some(fraction), times));
    }
}

#[tokio::test(start_paused = true)]
async fn each_claim_has_its_own_pace() {
    let stage = setup().await;
    stage.tell(0.1).await;
    let other = stage.board.post(NewJob::new("paste")).await.unwrap();
    let other = stage.board.claim(&other, "paster").await.unwrap();
    other.progress(0.2, None).await.unwrap();
    stage.board.fresh_jobs().await.unwrap();
    let progress = other.job().progress().unwrap();
    assert!((progress.fraction - 0.2).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_once_the_claim_is_over() {
    let stage = setup().await;
    stage.tell(0.1).await;
    stage.tell(0.2).await;
    stage.claim.abandon().await.unwrap();
    assert_eq!(stage.written().await, (None, 2));
    let lost = stage.claim.progress(0.3, None).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Lost);
    pass(10 * SECOND).await;
    assert_eq!(stage.written().await, (None, 2));

    let next = stage.board.claim(stage.claim.job(), "other").await.unwrap();
    next.progress(0.5, None).await.unwrap();
    next.progress(0.6, None).await.unwrap();
    drop(next);
    pass(10 * SECOND).await;
    // The claim, its first progress, and the job given back.
    assert_eq!(stage.written().await, (None, 5));
}

#[tokio::test(start_paused = true)]
async fn lost_claim_is_told_even_if_it_is_too_soon_to_write() {
    let stage = setup().await;
    stage.tell(0.1).await;
    let (job, token) = (stage.claim.job().id(), stage.claim.token());
    stage.board.release(job, token, None).await.unwrap();
    stage.claim.lost().await;
    let lost = stage.claim.progress(0.2, None).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Lost);
    pass(10 * SECOND).await;
    assert_eq!(stage.written().await, (None, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_takes_nobodys_place() {
    let stage = setup().await;
    let long = "m".repeat(256);
    for (fraction, message) in [(f64::NAN, None), (1.1, None), (0.5, Some(&*long))] {
        let refused = stage.claim.progress(fraction, message).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    assert_eq!(stage.written().await, (None, 0));
    stage.tell(0.1).await;
    stage.tell(0.2).await;
    assert!(stage.claim.progress(-0.1, None).await.is_err());
    pass(2 * SECOND).await;
    assert_eq!(stage.written().await, (Some(0.2), 2));
}

#[tokio::test(start_paused = true)]
async fn board_is_closed_without_waiting_for_what_is_kept() {
    let stage = setup_with(3_600 * SECOND).await;
    stage.tell(0.1).await;
    stage.tell(0.2).await;
    let begun = Instant::now();
    stage.board.close().await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    assert_eq!(stage.written().await, (None, 2));
}
