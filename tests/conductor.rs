//! What a service sees of a conductor, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt};
use jobboard::{
    Backoff, Conductor, ConductorBuilder, ConductorEvent, Context, Ended, ErrorKind, Handler,
    HandlerError, Job, JobBoard, JobPriority, NewJob, Outcome, Retry, Step, StopReason,
    store::Store,
};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::support::{board, stories};

stories! {
    job_is_done_with_its_details_and_its_result_is_kept
    details_that_can_not_be_read_are_trashed_and_not_tried
    error_and_panic_give_the_job_back_with_backoff_until_it_is_trashed
    outcome_decides_what_becomes_of_the_job
    lost_claim_cancels_its_handler_and_the_rest_goes_on
    request_to_cancel_reaches_the_handler
    handler_that_does_not_stop_is_dropped_after_its_grace
    stop_waits_for_what_runs_and_gives_back_the_rest_uncounted
    halt_drops_what_runs_and_burns_nothing
    paused_board_is_left_alone_until_it_is_resumed
    only_wanted_jobs_are_done
    as_many_jobs_run_as_there_is_room_for
    suspect_is_run_alone
    conductor_is_registered_while_it_runs
    conductor_that_can_not_be_is_refused
    delayed_job_is_started_when_it_is_due
}

const MINUTE: Duration = Duration::from_mins(1);

/// A handler that does with each job what its details say.
fn builder(board: &JobBoard) -> ConductorBuilder {
    Conductor::builder(board, "thumbnails")
}

fn run(conductor: &Conductor) -> JoinHandle<jobboard::Result<()>> {
    let conductor = conductor.clone();
    tokio::spawn(async move { conductor.run().await })
}

async fn stop(conductor: &Conductor, running: JoinHandle<jobboard::Result<()>>) {
    conductor.stop();
    timeout(MINUTE, running).await.unwrap().unwrap().unwrap();
    assert!(conductor.wait(None).await);
}

async fn ended(job: &Job) -> Ended {
    job.wait(Some(MINUTE)).await.unwrap()
}

/// The steps of one job, until one of the last kind.
async fn steps(
    events: &mut (impl Stream<Item = ConductorEvent> + Unpin),
    number: usize,
) -> Vec<Step> {
    let next = events.take(number).map(|event| event.step).collect();
    timeout(MINUTE, next).await.expect("all steps are told")
}

#[derive(serde::Deserialize)]
struct Thumbnail {
    file: String,
}

async fn job_is_done_with_its_details_and_its_result_is_kept(store: Arc<dyn Store>) {
    let (board, poster) = (board(&store).await, board(&store).await);
    let conductor = builder(&board).with(|context: Context, details: Thumbnail| async move {
        assert_eq!((context.attempt(), context.job().name()), (1, "thumbnail"));
        assert!(context.token() > jobboard::store::Revision::ZERO);
        context.progress(0.5, Some("half-way")).await?;
        assert_eq!(context.stop_reason(), None);
        Ok(Outcome::ConsumeWith(json!({"made": details.file})))
    });
    let conductor = conductor.unwrap();
    let running = run(&conductor);
    let new = NewJob::new("thumbnail").details(json!({"file": "a.png"}));
    let job = poster.post(new).await.unwrap();
    assert_eq!(
        ended(&job).await,
        Ended::Consumed(Some(json!({"made": "a.png"})))
    );
    stop(&conductor, running).await;
    let again = conductor.run().await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Invalid);
    board.close().await;
    poster.close().await;
}

async fn details_that_can_not_be_read_are_trashed_and_not_tried(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let conductor = builder(&board).with(|_: Context, _: Thumbnail| async {
        panic!("it is not run");
    });
    let conductor = conductor.unwrap();
    let running = run(&conductor);
    let new = NewJob::new("thumbnail").details(json!({"file": 7}));
    let job = board.post(new).await.unwrap();
    match ended(&job).await {
        Ended::Trashed(Some(reason)) => assert!(reason.starts_with("bad input: "), "{reason}"),
        other => panic!("{other:?}"),
    }
    stop(&conductor, running).await;
    board.close().await;
}

/// Fails in one way, then in the other.
struct Failing(AtomicU32);

impl Handler for Failing {
    async fn handle(&self, _: Context) -> Result<Outcome, HandlerError> {
        let even = self.0.fetch_add(1, SeqCst).is_multiple_of(2);
        assert!(even, "out of {}", "disk");
        Err("no such file")?
    }
}

async fn error_and_panic_give_the_job_back_with_backoff_until_it_is_trashed(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let conductor = builder(&board).handler(Failing(AtomicU32::new(0))).unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let soon = Duration::from_millis(20);
    let new = NewJob::new("thumbnail").backoff(Backoff::new(soon, soon));
    let job = board.post(new.max_attempts(4)).await.unwrap();
    let abandoned = |why: &str| Step::Abandoned(Some(why.to_owned()));
    let (error, panic) = (
        abandoned("no such file"),
        abandoned("panicked: out of disk"),
    );
    let told = steps(&mut events, 8).await;
    let expected = [&error, &panic, &error, &panic].map(|end| [Step::Started, end.clone()]);
    assert_eq!(told, expected.concat());
    match ended(&job).await {
        Ended::Trashed(Some(reason)) => {
            assert!(
                reason.starts_with("tried 4 times, the limit is 4"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
    stop(&conductor, running).await;
    board.close().await;
}

async fn outcome_decides_what_becomes_of_the_job(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let conductor = builder(&board).with(|context: Context, details: Value| async move {
        let first = context.job().not_before().is_none() && context.job().last_reason().is_none();
        Ok(match details["do"].as_str().unwrap() {
            "abandon" if first => Outcome::Abandon(Retry::at_once().reason("busy")),
            "snooze" if first => Outcome::Snooze(Duration::from_hours(1)),
            "trash" => Outcome::Trash("broken".to_owned()),
            "too much" => Outcome::ConsumeWith(json!("x".repeat(100_000))),
            _ => Outcome::Consume,
        })
    });
    let conductor = conductor.unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let post = |what: &str| board.post(NewJob::new(what).details(json!({"do": what})));

    let trash = post("trash").await.unwrap();
    assert_eq!(
        ended(&trash).await,
        Ended::Trashed(Some("broken".to_owned()))
    );
    let told = steps(&mut events, 2).await;
    assert_eq!(told, [Step::Started, Step::Trashed("broken".to_owned())]);

    post("snooze").await.unwrap();
    assert_eq!(steps(&mut events, 2).await[1], Step::Snoozed(None));
    let snoozed = board.fresh_jobs().await.unwrap().next().unwrap();
    assert_eq!(snoozed.attempts(), 0);
    assert!(snoozed.not_before().is_some());

    let too_much = post("too much").await.unwrap();
    match &steps(&mut events, 2).await[1] {
        Step::Abandoned(Some(why)) => assert!(why.contains("the limit is"), "{why}"),
        other => panic!("{other:?}"),
    }
    board.fresh_jobs().await.unwrap();
    assert_eq!(too_much.attempts(), 1);
    stop(&conductor, running).await;
    board.close().await;
}

/// A handler that tells when it begins, and runs until it is to stop.
struct UntilStopped {
    begun: mpsc::Sender<()>,
    stopped: mpsc::Sender<StopReason>,
    /// What it says then.
    says: fn() -> Result<Outcome, HandlerError>,
}

impl Handler for UntilStopped {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        self.begun.send(()).await?;
        context.cancellation().cancelled().await;
        self.stopped.send(context.stop_reason().unwrap()).await?;
        (self.says)()
    }
}

fn until_stopped(
    says: fn() -> Result<Outcome, HandlerError>,
) -> (UntilStopped, mpsc::Receiver<()>, mpsc::Receiver<StopReason>) {
    let ((begun, begins), (stopped, stops)) = (mpsc::channel(8), mpsc::channel(8));
    let handler = UntilStopped {
        begun,
        stopped,
        says,
    };
    (handler, begins, stops)
}

async fn lost_claim_cancels_its_handler_and_the_rest_goes_on(store: Arc<dyn Store>) {
    let (board, operator) = (board(&store).await, board(&store).await);
    let (handler, mut begins, mut stops) = until_stopped(|| Ok(Outcome::Consume));
    let conductor = builder(&board).concurrency(2).handler(handler).unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let jobs = operator.post_many(["a", "b"].map(NewJob::new)).await;
    let jobs: Vec<Job> = jobs.into_iter().map(Result::unwrap).collect();
    for _ in 0..2 {
        begins.recv().await.unwrap();
    }
    operator.fresh_jobs().await.unwrap();
    operator.pause("operator", None).await.unwrap();
    let holder = operator.holder(jobs[0].id()).unwrap();
    assert_eq!(holder.name.as_deref(), Some(conductor.name()));
    let released = operator.release(jobs[0].id(), holder.token, None);
    released.await.unwrap();
    assert_eq!(stops.recv().await.unwrap(), StopReason::Lost);
    assert_eq!(steps(&mut events, 3).await[2], Step::Lost);
    // The other goes on.
    operator.cancel(&jobs[1], "operator", None).await.unwrap();
    assert_eq!(ended(&jobs[1]).await, Ended::Consumed(None));
    stop(&conductor, running).await;
    board.close().await;
    operator.close().await;
}

async fn request_to_cancel_reaches_the_handler(store: Arc<dyn Store>) {
    let (board, operator) = (board(&store).await, board(&store).await);
    let (handler, mut begins, mut stops) = until_stopped(|| Err("stopped half-way")?);
    let conductor = builder(&board).handler(handler).unwrap();
    let running = run(&conductor);
    let job = operator.post(NewJob::new("a")).await.unwrap();
    begins.recv().await.unwrap();
    let cancelled = operator.cancel(&job, "operator", Some("wrong file"));
    cancelled.await.unwrap();
    match stops.recv().await.unwrap() {
        StopReason::Requested(request) => {
            assert_eq!(request.reason.as_deref(), Some("wrong file"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        ended(&job).await,
        Ended::Trashed(Some("wrong file".to_owned()))
    );
    stop(&conductor, running).await;
    board.close().await;
    operator.close().await;
}

/// A handler that begins, and never ends.
struct Endless(mpsc::Sender<()>);

impl Handler for Endless {
    async fn handle(&self, _: Context) -> Result<Outcome, HandlerError> {
        self.0.send(()).await?;
        std::future::pending().await
    }
}

async fn handler_that_does_not_stop_is_dropped_after_its_grace(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (begun, mut begins) = mpsc::channel(1);
    let conductor = builder(&board).grace(Duration::from_millis(50));
    let conductor = conductor.handler(Endless(begun)).unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let job = board.post(NewJob::new("a")).await.unwrap();
    begins.recv().await.unwrap();
    board
        .cancel(&job, "operator", Some("enough"))
        .await
        .unwrap();
    assert_eq!(ended(&job).await, Ended::Trashed(Some("enough".to_owned())));
    let told = steps(&mut events, 3).await;
    let trashed = Step::Trashed("enough".to_owned());
    assert_eq!(told, [Step::Started, Step::Dropped, trashed]);
    stop(&conductor, running).await;
    board.close().await;
}

async fn stop_waits_for_what_runs_and_gives_back_the_rest_uncounted(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (handler, mut begins, mut stops) = until_stopped(|| Err("no time left")?);
    let conductor = builder(&board).drain(Duration::from_millis(200));
    let conductor = conductor.handler(handler).unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let job = board.post(NewJob::new("a").max_attempts(1)).await.unwrap();
    let waiting = board.post(NewJob::new("b")).await.unwrap();
    begins.recv().await.unwrap();
    let begun = Instant::now();
    stop(&conductor, running).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(stops.recv().await.unwrap(), StopReason::Shutdown);
    let told = steps(&mut events, 4).await;
    let expected = [
        Step::Started,
        Step::Draining,
        Step::Snoozed(None),
        Step::Stopped,
    ];
    assert_eq!(told, expected);
    board.fresh_jobs().await.unwrap();
    assert_eq!((job.attempts(), waiting.attempts()), (0, 0));
    board
        .claim(&job, "next")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    board.close().await;
}

async fn halt_drops_what_runs_and_burns_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (begun, mut begins) = mpsc::channel(1);
    let conductor = builder(&board).handler(Endless(begun)).unwrap();
    let running = run(&conductor);
    let job = board.post(NewJob::new("a")).await.unwrap();
    begins.recv().await.unwrap();
    conductor.halt();
    timeout(MINUTE / 6, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    board.fresh_jobs().await.unwrap();
    assert_eq!((job.attempts(), board.find_owner(&job)), (0, None));
    board.close().await;
}

async fn paused_board_is_left_alone_until_it_is_resumed(store: Arc<dyn Store>) {
    let (board, operator) = (board(&store).await, board(&store).await);
    let conductor = builder(&board).with(|_: Context, _: Value| async { Ok(Outcome::Consume) });
    let conductor = conductor.unwrap();
    operator.pause("operator", None).await.unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let job = operator.post(NewJob::new("a")).await.unwrap();
    let still = job.wait(Some(Duration::from_millis(300))).await.unwrap();
    assert_eq!(still, Ended::TimedOut);
    // Nothing was tried either.
    assert!(events.next().now_or_never().is_none());
    operator.resume().await.unwrap();
    assert_eq!(ended(&job).await, Ended::Consumed(None));
    stop(&conductor, running).await;
    board.close().await;
    operator.close().await;
}

async fn only_wanted_jobs_are_done(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let conductor = builder(&board)
        .jobs_named(["a", "b"])
        .jobs_where(|job| job.details()["wanted"] == true);
    let conductor = conductor.with(|_: Context, _: Value| async { Ok(Outcome::Consume) });
    let conductor = conductor.unwrap();
    let post = |name: &str, wanted: bool| {
        let new = NewJob::new(name).details(json!({"wanted": wanted}));
        board.post(new)
    };
    let others = [
        post("c", true).await.unwrap(),
        post("a", false).await.unwrap(),
    ];
    let wanted = [
        post("a", true).await.unwrap(),
        post("b", true).await.unwrap(),
    ];
    let running = run(&conductor);
    for job in &wanted {
        assert_eq!(ended(job).await, Ended::Consumed(None));
    }
    stop(&conductor, running).await;
    assert!(others.iter().all(|job| job.attempts() == 0));
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 2);
    board.close().await;
}

/// Counts how many run at a time, and goes on when it is let.
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
    full: Notify,
    go_on: Semaphore,
}

impl Handler for Counting {
    async fn handle(&self, _: Context) -> Result<Outcome, HandlerError> {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        if now == 3 {
            self.full.notify_one();
        }
        self.go_on.acquire().await?.forget();
        self.now.fetch_sub(1, SeqCst);
        Ok(Outcome::Consume)
    }
}

fn counting() -> Arc<Counting> {
    Arc::new(Counting {
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        full: Notify::new(),
        go_on: Semaphore::new(0),
    })
}

async fn as_many_jobs_run_as_there_is_room_for(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let counting = counting();
    let conductor = builder(&board).concurrency(3).max_dispatches(7);
    let conductor = conductor.handler(Arc::clone(&counting)).unwrap();
    let running = run(&conductor);
    let jobs = (0..10).map(|number| NewJob::new(number.to_string()));
    board.post_many(jobs).await;
    timeout(MINUTE, counting.full.notified()).await.unwrap();
    counting.go_on.add_permits(10);
    // It stops by itself after as many as it was to do.
    timeout(MINUTE, running).await.unwrap().unwrap().unwrap();
    assert_eq!(counting.most.load(SeqCst), 3);
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 3);
    board.close().await;
}

async fn suspect_is_run_alone(store: Arc<dyn Store>) {
    let (board, killed) = (board(&store).await, board(&store).await);
    let suspect = board.post(NewJob::new("suspect")).await.unwrap();
    for _ in 0..2 {
        let claim = killed.claim(&suspect, "dead").await.unwrap();
        let key = format!("/taskflow/jobs/images/job{}.lock", suspect.id());
        let key = jobboard::store::Key::new(key).unwrap();
        let lock = jobboard::store::StoreExt::get(&*store, key)
            .await
            .unwrap()
            .unwrap();
        store.revoke(lock.lease.unwrap()).await.unwrap();
        claim.lost().await;
    }
    board.wait_unclaimed(Some(MINUTE)).await.unwrap().unwrap();
    assert!(suspect.is_suspect());
    let counting = counting();
    let conductor = builder(&board).concurrency(3);
    let conductor = conductor.handler(Arc::clone(&counting)).unwrap();
    let mut events = conductor.events();
    let running = run(&conductor);
    let first = timeout(MINUTE, events.next()).await.unwrap().unwrap();
    assert_eq!(first.job.unwrap().uuid(), suspect.uuid());
    let innocent = board.post(NewJob::new("innocent")).await.unwrap();
    board.fresh_jobs().await.unwrap();
    let waits = innocent
        .wait(Some(Duration::from_millis(200)))
        .await
        .unwrap();
    assert_eq!((waits, innocent.attempts()), (Ended::TimedOut, 0));
    counting.go_on.add_permits(2);
    assert_eq!(ended(&suspect).await, Ended::Consumed(None));
    assert_eq!(ended(&innocent).await, Ended::Consumed(None));
    assert_eq!(counting.most.load(SeqCst), 1);
    stop(&conductor, running).await;
    board.close().await;
    killed.close().await;
}

async fn conductor_is_registered_while_it_runs(store: Arc<dyn Store>) {
    let (board, operator) = (board(&store).await, board(&store).await);
    let conductor = builder(&board).concurrency(8);
    let conductor = conductor.with(|_: Context, _: Value| async { Ok(Outcome::Consume) });
    let conductor = conductor.unwrap();
    let running = run(&conductor);
    let job = operator.post(NewJob::new("a")).await.unwrap();
    assert_eq!(ended(&job).await, Ended::Consumed(None));
    let entities = operator.entities().await.unwrap();
    let registered = entities.of_kind("conductor");
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0].entity.name(), conductor.name());
    assert!(conductor.name().starts_with("thumbnails@"));
    let metadata = registered[0].entity.metadata();
    assert_eq!(metadata["pid"], std::process::id());
    assert_eq!(metadata["concurrency"], 8);
    for known in ["host", "version", "started"] {
        assert!(metadata[known].is_string(), "{known}");
    }
    stop(&conductor, running).await;
    assert!(operator.entities().await.unwrap().list().is_empty());
    board.close().await;
    operator.close().await;
}

async fn conductor_that_can_not_be_is_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let idle = || |_: Context, _: Value| async { Ok(Outcome::Consume) };
    for wrong in [
        Conductor::builder(&board, ""),
        Conductor::builder(&board, &"x".repeat(255)),
        builder(&board).concurrency(0),
        builder(&board).drain(Duration::MAX),
        builder(&board).grace(Duration::MAX),
        builder(&board).retry(Retry::after(Duration::MAX)),
    ] {
        let refused = wrong.with(idle()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    board.close().await;
    let closed = builder(&board).run(idle()).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

async fn delayed_job_is_started_when_it_is_due(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let conductor = builder(&board).with(|_: Context, _: Value| async { Ok(Outcome::Consume) });
    let conductor = conductor.unwrap();
    let running = run(&conductor);
    let begun = Instant::now();
    let new = NewJob::new("a").delay(Duration::from_millis(300));
    let job = board.post(new).await.unwrap();
    assert_eq!(ended(&job).await, Ended::Consumed(None));
    assert!(begun.elapsed() >= Duration::from_millis(299));
    stop(&conductor, running).await;
    board.close().await;
}

struct Consuming;

impl Handler for Consuming {
    async fn handle(&self, _: Context) -> Result<Outcome, HandlerError> {
        Ok(Outcome::Consume)
    }
}

/// The one that waits comes before the other, so that a conductor that is at the other has passed it.
#[tokio::test]
async fn job_that_falls_due_while_a_conductor_looks_at_the_board_is_done() {
    let board = JobBoard::builder("images").connect().await.unwrap();
    let soon = NewJob::new("soon").priority(JobPriority::High);
    let soon = soon.delay(Duration::from_millis(300));
    let soon = board.post(soon).await.unwrap();
    board.post(NewJob::new("unwanted")).await.unwrap();
    board.fresh_jobs().await.unwrap();
    let due = board.next_due().unwrap();
    let conductor = Conductor::builder(&board, "thumbnails")
        .jobs_where(move |job| {
            // Looks at the unwanted one for as long as the other is not due.
            while job.name() == "unwanted" && Instant::now() <= due {
                std::hint::spin_loop();
            }
            job.name() == "soon"
        })
        .handler(Consuming)
        .unwrap();
    let run = conductor.clone();
    let running = tokio::spawn(async move { run.run().await });
    let ended = soon.wait(Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(ended, Ended::Consumed(None));
    conductor.stop();
    running.await.unwrap().unwrap();
    board.close().await;
}
