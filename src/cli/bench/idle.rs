//! One verb on an idle board, beside one raw transaction of its shape.

use super::{
    Failure, Plan,
    raw::Raw,
    report::{Row, Target, Unit, median, quantile, timed},
};

/// Not counted, before.
const WARM_UP: usize = 100;

/// Times of each verb, in microseconds.
#[derive(Default)]
struct Times {
    post: Vec<f64>,
    claim: Vec<f64>,
    consume: Vec<f64>,
}

/// The two sides take turns, job by job, on one server.
pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let etcd = plan.start().await?;
    let mut raw = Raw::connect(&etcd.endpoint()).await?;
    let board = super::board(&etcd.endpoint()).await?;
    let (mut by_hand, mut by_board) = (Times::default(), Times::default());
    for number in 0..WARM_UP + plan.few(5_000) {
        if number == WARM_UP {
            (by_hand, by_board) = (Times::default(), Times::default());
        }
        let (took, posted) = timed(raw.alone(Raw::post(number))).await?;
        by_hand.post.push(took);
        let claim = raw.claim(number, posted);
        let (took, token) = timed(raw.alone(claim)).await?;
        by_hand.claim.push(took);
        let (took, _) = timed(raw.alone(Raw::consume(number, token))).await?;
        by_hand.consume.push(took);

        let (took, job) = timed(board.post(super::new_job())).await?;
        by_board.post.push(took);
        let (took, claim) = timed(board.claim(&job, "bench")).await?;
        by_board.claim.push(took);
        let (took, _) = timed(claim.consume()).await?;
        by_board.consume.push(took);
    }
    board.close().await;
    let rows = [
        ("post", by_hand.post, by_board.post, 1.15),
        ("claim", by_hand.claim, by_board.claim, 1.10),
        ("consume", by_hand.consume, by_board.consume, 1.10),
    ];
    let rows = rows.into_iter().flat_map(|(verb, raw, board, most)| {
        let row = |what, target, of: fn(Vec<f64>) -> f64| Row {
            measure: format!("{verb}, idle, {what}"),
            unit: Unit::Microseconds,
            beside: "raw",
            raw: Some(of(raw.clone())),
            board: of(board.clone()),
            target,
        };
        [
            row("median", Target::AtMost(most), median),
            row("99 %", Target::None, |times| quantile(times, 0.99)),
        ]
    });
    Ok(rows.collect())
}
