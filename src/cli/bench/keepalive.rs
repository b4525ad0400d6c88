//! How many requests keep claims alive, by their number.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::{
    Failure, Plan,
    report::{Row, Target, Unit},
};
use crate::{JobBoard, local_etcd::LocalEtcd, store::Etcd};

/// How long is counted: some keep-alives at this time to live.
const COUNTED: Duration = Duration::from_secs(12);
const TTL: Duration = Duration::from_secs(3);

/// What etcd calls the requests that it counts.
const REQUESTS: &str = "grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\"";

pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (one, thousand) = (count(plan, 1).await?, count(plan, 1_000).await?);
    let scale = 60.0 / COUNTED.as_secs_f64();
    Ok(vec![Row {
        measure: "keep-alives at 1,000 claims".to_owned(),
        unit: Unit::PerMinute,
        beside: "at 1 claim",
        raw: Some(one * scale),
        board: thousand * scale,
        // Two of the first session can be in the time, where three are of the other's.
        target: Target::AtMost(1.2),
    }])
}

async fn count(plan: &Plan, claims: u32) -> Result<f64, Failure> {
    let etcd = plan.start().await?;
    let store = Etcd::connect([etcd.endpoint()]).await?;
    let board = JobBoard::builder(super::BOARD).store(store).ttl(TTL);
    let board = board.connect().await?;
    let new = (0..claims).map(|_| super::new_job());
    let posted: Vec<_> = board
        .post_many(new)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let held = board.claim_many(posted, "bench").await;
    let held: Vec<_> = held.into_iter().collect::<Result<_, _>>()?;
    let before = keep_alives(&etcd).await?;
    sleep(COUNTED).await;
    let after = keep_alives(&etcd).await?;
    drop(held);
    board.close().await;
    Ok(after - before)
}

/// How many requests to keep a lease alive etcd has counted.
async fn keep_alives(etcd: &LocalEtcd) -> Result<f64, Failure> {
    let endpoint = etcd.endpoint();
    let address = endpoint.trim_start_matches("http://");
    let ask = async {
        let mut connection = TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer = ask.await.map_err(Failure::system("read etcd's metrics"))?;
    let line = answer.lines().find(|line| line.starts_with(REQUESTS));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.ok_or_else(|| Failure::new("etcd does not count what keeps leases alive"))
}
