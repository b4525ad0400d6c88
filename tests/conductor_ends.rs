//! How a conductor ends, and what becomes then of what it ran.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use jobboard::{
    Conductor, ConductorBuilder, ConductorEvent, Context, Ended, ErrorKind, Handler, HandlerError,
    Job, JobBoard, JobState, NewJob, Outcome, Step, StopReason,
    random::Random,
    store::{Faults, Faulty, Memory, Store},
};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::support::{board, stories};

stories! {
    conductor_that_was_told_to_stop_claims_nothing
    conductor_ends_with_the_connection_that_it_began_with
    jobs_go_back_though_a_handle_to_them_is_left
    handler_that_cancels_its_own_token_fails_as_any_other
    job_that_goes_into_the_trash_untried_is_told_of
    conductor_stays_listed_when_another_of_its_name_ends
}

const MINUTE: Duration = Duration::from_mins(1);

fn builder(board: &JobBoard) -> ConductorBuilder {
    Conductor::builder(board, "thumbnails")
}

fn run(conductor: &Conductor) -> JoinHandle<jobboard::Result<()>> {
    let conductor = conductor.clone();
    tokio::spawn(async move { conductor.run().await })
}

async fn ended(running: JoinHandle<jobboard::Result<()>>) -> jobboard::Result<()> {
    timeout(MINUTE, running).await.unwrap().unwrap()
}

/// Waits until the job is free.
async fn free(job: &Job) {
    let board = job.board();
    let given_back = async {
        while job.state() != JobState::Unclaimed {
            board.changed(board.revision()).await.unwrap();
        }
    };
    timeout(MINUTE, given_back).await.expect("it is given back");
}

/// A handler that hands out what it is given, and never ends.
struct Endless(mpsc::Sender<Context>);

impl Handler for Endless {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        self.0.send(context).await?;
        std::future::pending().await
    }
}

async fn conductor_that_was_told_to_stop_claims_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let (begun, mut begins) = mpsc::channel(1);
    let conductor = builder(&board).handler(Endless(begun)).unwrap();
    conductor.stop();
    conductor.run().await.unwrap();
    assert!(begins.try_recv().is_err());
    board.fresh_jobs().await.unwrap();
    assert_eq!((job.attempts(), job.state()), (0, JobState::Unclaimed));
    assert!(board.entities().await.unwrap().list().is_empty());
    board.close().await;
}

async fn conductor_ends_with_the_connection_that_it_began_with(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (begun, mut begins) = mpsc::channel(1);
    // Its job keeps it busy: it looks for no other.
    let conductor = builder(&board)
        .drain(Duration::ZERO)
        .grace(Duration::ZERO)
        .handler(Endless(begun))
        .unwrap();
    let running = run(&conductor);
    board.post(NewJob::new("a")).await.unwrap();
    begins.recv().await.unwrap();
    board.close().await;
    board.connect().await.unwrap();
    assert_eq!(ended(running).await.unwrap_err().kind(), ErrorKind::Closed);
    board.close().await;
}

async fn jobs_go_back_though_a_handle_to_them_is_left(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (begun, mut begins) = mpsc::channel(1);
    let conductor = builder(&board).handler(Endless(begun)).unwrap();
    let running = run(&conductor);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let context = begins.recv().await.unwrap();
    board.fresh_jobs().await.unwrap();
    assert_eq!(job.state(), JobState::Claimed);
    running.abort();
    let told = context.cancellation().cancelled();
    timeout(MINUTE, told).await.expect("its handler is told");
    assert_eq!(context.stop_reason(), Some(StopReason::Lost));
    free(&job).await;
    assert_eq!(job.attempts(), 0);
    board.close().await;
}

async fn handler_that_cancels_its_own_token_fails_as_any_other(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let conductor = builder(&board).with(|context: Context, _: Value| async move {
        // As one does whose subtasks are to end with it.
        let _all = context.cancellation().clone().drop_guard();
        Err("no such file")?
    });
    let conductor = conductor.unwrap();
    let running = run(&conductor);
    let job = board.post(NewJob::new("a").max_attempts(2)).await.unwrap();
    let Ended::Trashed(Some(why)) = job.wait(Some(MINUTE)).await.unwrap() else {
        panic!("it fails");
    };
    assert!(why.starts_with("tried 2 times"), "{why}");
    assert!(why.ends_with("no such file"), "{why}");
    conductor.stop();
    ended(running).await.unwrap();
    board.close().await;
}

async fn job_that_goes_into_the_trash_untried_is_told_of(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a").max_attempts(1)).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    claim.abandon().await.unwrap();
    let conductor = builder(&board).with(|_: Context, _: Value| async { Ok(Outcome::Consume) });
    let conductor = conductor.unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let told = timeout(MINUTE, events.next()).await.unwrap().unwrap();
    let ConductorEvent {
        job: Some(of),
        attempt: None,
        step: Step::Trashed(why),
        ..
    } = told
    else {
        panic!("{told}");
    };
    assert_eq!(of.id(), job.id());
    assert!(why.starts_with("tried 1 times"), "{why}");
    conductor.stop();
    ended(running).await.unwrap();
    board.close().await;
}

async fn conductor_stays_listed_when_another_of_its_name_ends(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let entities = board.entities().await.unwrap();
    let mut both = Vec::new();
    for jobs in ["old", "new"] {
        let (begun, mut begins) = mpsc::channel(1);
        let conductor = builder(&board)
            .jobs_where(move |job| job.name() == jobs)
            .drain(Duration::ZERO)
            .grace(Duration::ZERO)
            .handler(Endless(begun))
            .unwrap();
        let running = run(&conductor);
        board.post(NewJob::new(jobs)).await.unwrap();
        begins.recv().await.unwrap();
        both.push((conductor, running, begins));
    }
    for (left, (conductor, running, _)) in [1, 0].into_iter().zip(both) {
        conductor.stop();
        ended(running).await.unwrap();
        let listed = board.entities().await.unwrap().of_kind("conductor");
        assert_eq!(listed.len(), left);
    }
    drop(entities);
    board.close().await;
}

#[tokio::test(start_paused = true)]
async fn conductor_that_is_stopped_while_it_registers_ends_well() {
    let store = Faulty::new(Memory::new(), Random::seeded(1), Faults::NONE);
    let board = JobBoard::builder("images").store(store.clone());
    let board = board.connect().await.unwrap();
    store.cut_off(true);
    let (begun, _begins) = mpsc::channel(1);
    let conductor = builder(&board).handler(Endless(begun)).unwrap();
    let running = run(&conductor);
    sleep(Duration::from_secs(1)).await;
    conductor.stop();
    ended(running).await.unwrap();
}
