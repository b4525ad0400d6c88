//! What it costs that etcd has users, where many claims are on one lease.
//!
//! etcd checks the permission for each key of a request, and outside of transactions for each key that
//! is on the lease already as well.

use etcd_client::{Client, Permission, PermissionType};

use super::{
    Failure, Plan,
    report::{Row, Target, Unit, median, timed},
};
use crate::{
    JobBoard,
    local_etcd::LocalEtcd,
    store::etcd::{Etcd, Settings},
};

/// Not a secret: etcd is there for the measurement alone.
const PASSWORD: &str = "bench";

pub(super) async fn measure(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for claims in [100, 1_000] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let etcd = plan.start().await?;
            let board = super::board(&etcd.endpoint()).await?;
            without.push(claim(board, claims).await?);
            let etcd = plan.start().await?;
            make_users(&etcd).await?;
            with.push(claim(board_of_a_user(&etcd).await?, claims).await?);
        }
        rows.push(Row {
            measure: format!("claim_many of {claims}, with users"),
            unit: Unit::PerSecond,
            beside: "without users",
            raw: Some(median(without)),
            board: median(with),
            target: Target::None,
        });
    }
    Ok(rows)
}

/// How many claims a second.
async fn claim(board: JobBoard, claims: u32) -> Result<f64, Failure> {
    let posted = super::post_many(&board, claims).await?;
    let (took, held) = timed(super::claim_many(&board, posted)).await?;
    drop(held);
    board.close().await;
    Ok(f64::from(claims) / took * 1e6)
}

/// Makes a user who may do all of a board, and lets nobody else in.
async fn make_users(etcd: &LocalEtcd) -> Result<(), Failure> {
    let mut admin = Client::connect([etcd.endpoint()], None).await?;
    admin.user_add("root", PASSWORD, None).await?;
    admin.user_grant_role("root", "root").await?;
    admin.role_add("worker").await?;
    let all = Permission::new(PermissionType::Readwrite, "/taskflow/").with_prefix();
    admin.role_grant_permission("worker", all).await?;
    admin.user_add("worker", PASSWORD, None).await?;
    admin.user_grant_role("worker", "worker").await?;
    admin.auth_enable().await?;
    Ok(())
}

async fn board_of_a_user(etcd: &LocalEtcd) -> Result<JobBoard, Failure> {
    let settings = Settings::default().user("worker", PASSWORD);
    let store = Etcd::connect_with([etcd.endpoint()], settings).await?;
    let board = JobBoard::builder(super::BOARD).store(store);
    Ok(board.connect().await?)
}
