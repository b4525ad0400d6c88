//! Many at once: how many posts, claims, consumes and whole jobs a second.
//!
//! A closed loop: so many callers, each of which waits for its answer before it asks again. Jobs are
//! posted, then all are claimed, then all are consumed; then more of them go through all three in one
//! go. Four ways of doing it, each on a server of its own, in turn, so that neither a burst of one way
//! nor a change of the machine's mood is another's burden.

use std::{future::Future, sync::Arc};

use etcd_client::{KvClient, TxnOpResponse};
use futures::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    Failure, Plan,
    raw::{Parts, Raw, not_as_it_was, revision_of},
    report::{Row, Target, Unit, median},
};
use crate::{Claim, Job, JobBoard};

/// How many call at a time, and how many jobs they go through in each phase.
const LOADS: [(usize, usize); 4] = [(1, 500), (8, 2_000), (64, 5_000), (256, 10_000)];

/// How verbs are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Raw transactions, one for each verb; nobody watches.
    Raw,
    /// Raw transactions, nested by hand; somebody watches, as a board does.
    RawTogether,
    /// A board as it is.
    Board,
    /// A board with group commit switched off.
    BoardAlone,
}

const WAYS: [Way; 4] = [Way::Raw, Way::RawTogether, Way::Board, Way::BoardAlone];

/// Jobs a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) post: f64,
    pub(super) claim: f64,
    pub(super) consume: f64,
    pub(super) whole: f64,
}

/// Measures all ways, with few and with many callers.
pub(super) async fn measure_all(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (callers, jobs) in LOADS {
        let mut taken: [Vec<Rates>; 4] = Default::default();
        for _ in 0..plan.rounds {
            for (at, way) in WAYS.into_iter().enumerate() {
                taken[at].push(measure(plan, way, callers, plan.few(jobs)).await?);
            }
        }
        rows.extend(compare(plan, callers, &taken));
    }
    Ok(rows)
}

type Phase = (&'static str, fn(&Rates) -> f64);

const PHASES: [Phase; 4] = [
    ("post", |rates| rates.post),
    ("claim", |rates| rates.claim),
    ("consume", |rates| rates.consume),
    ("whole job", |rates| rates.whole),
];

/// Each phase beside raw transactions of one verb, beside the board ungrouped, and where many call
/// beside groups made by hand.
fn compare(plan: &Plan, callers: usize, taken: &[Vec<Rates>; 4]) -> Vec<Row> {
    let [raw, by_hand, board, alone] = taken;
    let mut rows = Vec::new();
    for (verb, of) in PHASES {
        let rate = |taken: &[Rates]| median(taken.iter().map(of));
        let row = |beside, other: &[Rates], target| Row {
            measure: format!("{verb}, {callers} in flight"),
            unit: Unit::PerSecond,
            beside,
            raw: Some(rate(other)),
            board: rate(board),
            target,
        };
        rows.push(row(
            "raw",
            raw,
            target(verb, callers, plan.slow_after_bursts),
        ));
        // Noise of a shared machine is some percent.
        rows.push(row("board ungrouped", alone, Target::AtLeast(0.95)));
        if callers >= 64 {
            rows.push(row("raw grouped by hand", by_hand, Target::AtLeast(0.85)));
        }
    }
    rows
}

/// What a board is to be beside raw transactions of one verb each.
fn target(verb: &str, callers: usize, slow_after_bursts: bool) -> Target {
    Target::AtLeast(match (callers, verb, slow_after_bursts) {
        (256, "post", false) | (256, "claim", true) => 2.5,
        (256, "post", true) => 4.0,
        (256, "claim" | "consume", false) => 1.5,
        (256, "consume", true) => 3.0,
        (256, _, false) => 2.0,
        (256, _, true) => 3.5,
        (64, "claim", _) => 1.2,
        (64, ..) => 1.3,
        _ => return Target::None,
    })
}

/// Measures one way with so many callers, on a fresh server.
pub(super) async fn measure(
    plan: &Plan,
    way: Way,
    callers: usize,
    jobs: usize,
) -> Result<Rates, Failure> {
    let etcd = plan.start().await?;
    let endpoint = etcd.endpoint();
    match way {
        Way::Raw => {
            let raw = Raw::connect(&endpoint).await?;
            run(Alone(raw), callers, jobs).await
        }
        Way::RawTogether => {
            let raw = Raw::connect(&endpoint).await?;
            let mut watch = Raw::connect(&endpoint).await?.watch().await?;
            let watching = tokio::spawn(async move { while watch.next().await.is_some() {} });
            let rates = run(Together::new(raw).await?, callers, jobs).await;
            watching.abort();
            rates
        }
        Way::Board | Way::BoardAlone => {
            let board = super::builder(&endpoint).await?;
            let board = board.group_commit(way == Way::Board).connect().await?;
            let rates = run(board.clone(), callers, jobs).await;
            board.close().await;
            rates
        }
    }
}

/// A way to do the three verbs.
trait Side: Clone + Send + Sync + 'static {
    type Posted: Send + 'static;
    type Held: Send + 'static;

    fn post(&self, number: usize) -> impl Future<Output = Result<Self::Posted, Failure>> + Send;

    fn claim(
        &self,
        posted: Self::Posted,
    ) -> impl Future<Output = Result<Self::Held, Failure>> + Send;

    fn consume(&self, held: Self::Held) -> impl Future<Output = Result<(), Failure>> + Send;
}

async fn run<S: Side>(side: S, callers: usize, jobs: usize) -> Result<Rates, Failure> {
    // Connections, the session and the first block of numbers are not what is measured.
    closed_loop(&side, callers, 0..callers, whole).await?;
    let (post, posted) = closed_loop(
        &side,
        callers,
        callers..callers + jobs,
        |side, at| async move { side.post(at).await },
    )
    .await?;
    let (claim, held) = closed_loop(&side, callers, posted, |side, posted| async move {
        side.claim(posted).await
    })
    .await?;
    let (consume, _) = closed_loop(&side, callers, held, |side, held| async move {
        side.consume(held).await
    })
    .await?;
    let more = callers + jobs..callers + 2 * jobs;
    let (whole, _) = closed_loop(&side, callers, more, whole).await?;
    Ok(Rates {
        post,
        claim,
        consume,
        whole,
    })
}

async fn whole<S: Side>(side: S, number: usize) -> Result<(), Failure> {
    let posted = side.post(number).await?;
    let held = side.claim(posted).await?;
    side.consume(held).await
}

/// Does `each` with every item, by so many callers; gives how many a second, and what came of them.
async fn closed_loop<S, I, O, F>(
    side: &S,
    callers: usize,
    items: impl IntoIterator<Item = I>,
    each: impl Fn(S, I) -> F + Copy + Send + 'static,
) -> Result<(f64, Vec<O>), Failure>
where
    S: Side,
    I: Send + 'static,
    O: Send + 'static,
    F: Future<Output = Result<O, Failure>> + Send,
{
    let mut shares: Vec<Vec<I>> = (0..callers).map(|_| Vec::new()).collect();
    let mut count: u32 = 0;
    for (at, item) in items.into_iter().enumerate() {
        shares[at % callers].push(item);
        count += 1;
    }
    let start = Instant::now();
    let calling = shares.into_iter().map(|share| {
        let side = side.clone();
        tokio::spawn(async move {
            let mut done = Vec::with_capacity(share.len());
            for item in share {
                done.push(each(side.clone(), item).await?);
            }
            Ok::<_, Failure>(done)
        })
    });
    let done = try_join_all(calling).await?;
    let took = start.elapsed();
    let done: Vec<Vec<O>> = done.into_iter().collect::<Result<_, _>>()?;
    let rate = f64::from(count) / took.as_secs_f64();
    // As they were done, so that the next phase meets them so.
    let mut done: Vec<_> = done.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(done.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return Ok((rate, all));
        }
    }
}

impl Side for JobBoard {
    type Posted = Job;
    type Held = Claim;

    async fn post(&self, _: usize) -> Result<Job, Failure> {
        Ok(Self::post(self, super::new_job()).await?)
    }

    async fn claim(&self, posted: Job) -> Result<Claim, Failure> {
        Ok(Self::claim(self, &posted, "bench").await?)
    }

    async fn consume(&self, held: Claim) -> Result<(), Failure> {
        held.consume().await?;
        Ok(())
    }
}

/// Each verb in a transaction of its own.
#[derive(Clone)]
struct Alone(Raw);

impl Side for Alone {
    type Posted = (usize, i64);
    type Held = (usize, i64);

    async fn post(&self, number: usize) -> Result<(usize, i64), Failure> {
        Ok((number, self.0.clone().alone(Raw::post(number)).await?))
    }

    async fn claim(&self, (number, posted): (usize, i64)) -> Result<(usize, i64), Failure> {
        let claim = self.0.claim(number, posted);
        Ok((number, self.0.clone().alone(claim).await?))
    }

    async fn consume(&self, (number, token): (usize, i64)) -> Result<(), Failure> {
        self.0.clone().alone(Raw::consume(number, token)).await?;
        Ok(())
    }
}

/// How many verbs the hand puts into one transaction at most: what fits into etcd's 128 operations
/// beside a receipt, the largest verb's own among them.
const MEMBERS: usize = 120;

/// How many transactions it has under way at once.
const UNDER_WAY: usize = 2;

type Order = (Parts, oneshot::Sender<Result<i64, Failure>>);

/// Verbs that wait go together.
#[derive(Clone)]
struct Together {
    raw: Arc<Raw>,
    orders: mpsc::Sender<Order>,
}

impl Together {
    async fn new(mut raw: Raw) -> Result<Self, Failure> {
        let guard = raw.guard().await?;
        let (orders, waiting) = mpsc::channel(256);
        let raw = Arc::new(raw);
        tokio::spawn(gather(Arc::clone(&raw), guard, waiting));
        Ok(Self { raw, orders })
    }

    async fn send(&self, parts: Parts) -> Result<i64, Failure> {
        let (tell, told) = oneshot::channel();
        let over = || Failure::new("nobody gathers any more");
        let sent = self.orders.send((parts, tell)).await;
        sent.map_err(|_closed| over())?;
        told.await.map_err(|_closed| over())?
    }
}

/// Sends what waits, as long as somebody can order.
async fn gather(raw: Arc<Raw>, guard: i64, mut orders: mpsc::Receiver<Order>) {
    let mut under_way = FuturesUnordered::new();
    let (mut sent, mut waiting) = (0, Vec::new());
    loop {
        while !waiting.is_empty() && under_way.len() < UNDER_WAY {
            let members = waiting.len().min(MEMBERS);
            let (parts, tellers): (Vec<_>, Vec<_>) = waiting.drain(..members).unzip();
            sent += 1;
            let txn = raw.together(guard, sent, parts);
            under_way.push(tell(raw.kv().clone(), txn, tellers));
        }
        tokio::select! {
            biased;
            Some(()) = under_way.next() => {}
            order = orders.recv(), if waiting.len() < 4_096 => match order {
                Some(order) => {
                    waiting.push(order);
                    while let Ok(order) = orders.try_recv() {
                        waiting.push(order);
                    }
                }
                None => return,
            },
        }
    }
}

async fn tell(
    mut kv: KvClient,
    txn: etcd_client::Txn,
    tellers: Vec<oneshot::Sender<Result<i64, Failure>>>,
) {
    let answer = match kv.txn(txn).await {
        Ok(answer) => answer,
        Err(error) => {
            let error = error.to_string();
            for teller in tellers {
                _ = teller.send(Err(Failure::new(error.clone())));
            }
            return;
        }
    };
    let revision = revision_of(answer.header());
    let members = answer.op_responses().into_iter().skip(1);
    for (teller, member) in tellers.into_iter().zip(members) {
        let held = matches!(member, TxnOpResponse::Txn(member) if member.succeeded());
        let told = if held {
            Ok(revision)
        } else {
            Err(not_as_it_was())
        };
        _ = teller.send(told);
    }
}

impl Side for Together {
    type Posted = (usize, i64);
    type Held = (usize, i64);

    async fn post(&self, number: usize) -> Result<(usize, i64), Failure> {
        Ok((number, self.send(Raw::post(number)).await?))
    }

    async fn claim(&self, (number, posted): (usize, i64)) -> Result<(usize, i64), Failure> {
        Ok((number, self.send(self.raw.claim(number, posted)).await?))
    }

    async fn consume(&self, (number, token): (usize, i64)) -> Result<(), Failure> {
        self.send(Raw::consume(number, token)).await?;
        Ok(())
    }
}
