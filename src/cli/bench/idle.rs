//! One verb on an idle board, beside one raw transaction.
//!
//! And beside one of the very shape that a board sends, under a guard, a post with a receipt, while somebody
//! watches: what of the difference is the price of the guarantees, and what is the board's own.

use super::{
    Failure, Plan,
    raw::Raw,
    report::{Row, Target, Unit, median, quantile, timed},
};
use crate::JobBoard;

/// Not counted, before.
const WARM_UP: usize = 100;

/// Times of each verb, in microseconds.
#[derive(Default)]
struct Times {
    post: Vec<f64>,
    claim: Vec<f64>,
    consume: Vec<f64>,
}

impl Times {
    async fn by_hand(
        &mut self,
        raw: &mut Raw,
        guard: Option<i64>,
        number: usize,
    ) -> Result<(), Failure> {
        let (took, posted) = timed(raw.under(guard, Some(number), Raw::post(number))).await?;
        self.post.push(took);
        let claim = raw.claim(number, posted);
        let (took, token) = timed(raw.under(guard, None, claim)).await?;
        self.claim.push(took);
        let consume = Raw::consume(number, token);
        let (took, _) = timed(raw.under(guard, None, consume)).await?;
        self.consume.push(took);
        Ok(())
    }

    async fn by_board(&mut self, board: &JobBoard) -> Result<(), Failure> {
        let (took, job) = timed(board.post(super::new_job())).await?;
        self.post.push(took);
        let (took, claim) = timed(board.claim(&job, "bench")).await?;
        self.claim.push(took);
        let (took, _) = timed(claim.consume()).await?;
        self.consume.push(took);
        Ok(())
    }
}

/// The sides take turns, job by job; on one server, but for the one who is watched.
pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (etcd, watched) = (plan.start().await?, plan.start().await?);
    let mut raw = Raw::connect(&etcd.endpoint()).await?;
    let board = super::board(&etcd.endpoint()).await?;
    let mut careful = Raw::connect(&watched.endpoint()).await?;
    let guard = Some(careful.guard().await?);
    let mut watch = Raw::connect(&watched.endpoint()).await?.watch().await?;
    let watching = tokio::spawn(async move { while let Ok(Some(_)) = watch.message().await {} });
    let mut times: [Times; 3] = Default::default();
    for number in 0..WARM_UP + plan.few(5_000) {
        if number == WARM_UP {
            times = Default::default();
        }
        times[0].by_hand(&mut raw, None, number).await?;
        times[1].by_board(&board).await?;
        times[2].by_hand(&mut careful, guard, number).await?;
    }
    watching.abort();
    board.close().await;
    let [raw, board, guarded] = times;
    let rows = [
        ("post", raw.post, board.post, guarded.post, 1.15),
        ("claim", raw.claim, board.claim, guarded.claim, 1.10),
        ("consume", raw.consume, board.consume, guarded.consume, 1.10),
    ];
    let rows = rows
        .into_iter()
        .flat_map(|(verb, raw, board, guarded, most)| {
            let row = |what, beside, other: &Vec<f64>, target, of: fn(Vec<f64>) -> f64| Row {
                measure: format!("{verb}, idle, {what}"),
                unit: Unit::Microseconds,
                beside,
                raw: Some(of(other.clone())),
                board: of(board.clone()),
                target,
            };
            let late = |times| quantile(times, 0.99);
            [
                row("median", "raw", &raw, Target::AtMost(most), median),
                row(
                    "median",
                    "raw, guarded, watched",
                    &guarded,
                    Target::None,
                    median,
                ),
                row("99 %", "raw", &raw, Target::None, late),
            ]
        });
    Ok(rows.collect())
}
