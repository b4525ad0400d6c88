//! From a post until somebody else knows: a listener, and a conductor's handler.
//!
//! Beside them, from before a put until the raw watch of another client tells of it, and until the job
//! is then claimed by hand. A job that starts was posted and claimed: two writes, so that its ratio to
//! the first can hardly be less than two.

use etcd_client::WatchStream;
use tokio::{sync::mpsc, time::Instant};

use super::{
    Failure, Plan,
    raw::Raw,
    report::{Row, Target, Unit, median, micros},
};
use crate::{
    Conductor, Context, Ended, EventKind, Events, Handler, HandlerError, JobBoard, Outcome,
};

/// Not counted, before.
const WARM_UP: usize = 50;

/// Tells when a job began.
struct Telling(mpsc::Sender<Instant>);

impl Handler for Telling {
    async fn handle(&self, _: Context) -> Result<Outcome, HandlerError> {
        self.0.send(Instant::now()).await?;
        Ok(Outcome::Consume)
    }
}

/// A put and a watch by hand, each on a connection of its own.
struct ByHand {
    putter: Raw,
    watch: WatchStream,
}

/// Who posts, who listens, and who runs the jobs, each with a connection of its own.
struct ByBoard {
    poster: JobBoard,
    posted: Events,
    begins: mpsc::Receiver<Instant>,
}

impl ByHand {
    /// How long it takes until a put is seen, and until who saw it has claimed the job.
    async fn job(&mut self, number: usize) -> Result<(f64, f64), Failure> {
        let Self { putter, watch } = self;
        let start = Instant::now();
        let (posting, message) = tokio::join!(putter.alone(Raw::post(number)), watch.message());
        let seen = micros(start.elapsed());
        message?;
        let claim = putter.claim(number, posting?);
        let token = putter.alone(claim).await?;
        let claimed = micros(start.elapsed());
        watch.message().await?;
        putter.alone(Raw::consume(number, token)).await?;
        watch.message().await?;
        Ok((seen, claimed))
    }
}

impl ByBoard {
    /// How long it takes until a post is told, and until the job begins.
    async fn job(&mut self) -> Result<(f64, f64), Failure> {
        let start = Instant::now();
        let poster = self.poster.clone();
        let posting = tokio::spawn(async move { poster.post(super::new_job()).await });
        if self.posted.next().await.is_none() {
            return Err(Failure::new("nothing is told any more"));
        }
        let told = micros(start.elapsed());
        let job = posting.await??;
        let began = self.begins.recv().await;
        let began = began.ok_or_else(|| Failure::new("the conductor has ended"))?;
        match job.wait(None).await? {
            Ended::Consumed(_) => Ok((told, micros(began - start))),
            other => Err(Failure::new(format!("a job ended otherwise: {other:?}"))),
        }
    }
}

/// Both take turns, job by job, on one server. The conductor and the listener are told of a job at the
/// same time, as a crowd would be.
pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let etcd = plan.start().await?;
    let endpoint = etcd.endpoint();
    let mut by_hand = ByHand {
        putter: Raw::connect(&endpoint).await?,
        watch: Raw::connect(&endpoint).await?.watch().await?,
    };
    let (listener, worker) = (
        super::board(&endpoint).await?,
        super::board(&endpoint).await?,
    );
    let (begun, begins) = mpsc::channel(1);
    let conductor = Conductor::builder(&worker, "idle").handler(Telling(begun))?;
    let run = conductor.clone();
    let running = tokio::spawn(async move { run.run().await });
    let mut by_board = ByBoard {
        poster: super::board(&endpoint).await?,
        posted: listener.events(EventKind::Posted)?,
        begins,
    };
    let (mut raw, mut board) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + plan.few(3_000) {
        let (by_hand, by_board) = (by_hand.job(number).await?, by_board.job().await?);
        if number >= WARM_UP {
            raw.push(by_hand);
            board.push(by_board);
        }
    }
    conductor.stop();
    running.await??;
    for board in [by_board.poster, listener, worker] {
        board.close().await;
    }
    let (seen, claimed): (Vec<_>, Vec<_>) = raw.into_iter().unzip();
    let (told, began): (Vec<_>, Vec<_>) = board.into_iter().unzip();
    let (seen, claimed, told, began) = (median(seen), median(claimed), median(told), median(began));
    let row = |measure: &str, board, beside, raw, target| Row {
        measure: measure.to_owned(),
        unit: Unit::Microseconds,
        beside,
        raw: Some(raw),
        board,
        target,
    };
    let (posted, handler) = (
        "post to POSTED, idle, median",
        "post to handler, idle, median",
    );
    Ok(vec![
        row(posted, told, "raw watch", seen, Target::AtMost(1.25)),
        row(handler, began, "raw watch", seen, Target::AtMost(2.0)),
        row(handler, began, "raw watch, claim", claimed, Target::None),
    ])
}
