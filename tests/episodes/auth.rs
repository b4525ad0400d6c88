//! Users of etcd, and what changes of them while they are at work.

use std::time::Duration;

use etcd_client::{Client, Permission, PermissionType};
use jobboard::store::etcd::Settings;
use tokio::time::sleep;

use crate::{cluster::Cluster, world::NAMESPACE};

const ROOT: &str = "root";

/// Whom boards are.
const USER: &str = "user";

/// The password of both.
const PASSWORD: &str = "secret";

/// How long a password is another.
const CHANGED: Duration = Duration::from_millis(200);

/// Has etcd ask everybody who they are.
pub(crate) async fn enable(cluster: &Cluster) {
    let mut admin = client(cluster, None).await;
    admin.user_add(ROOT, PASSWORD, None).await.unwrap();
    admin.user_grant_role(ROOT, ROOT).await.unwrap();
    admin.role_add(USER).await.unwrap();
    let all = Permission::new(PermissionType::Readwrite, format!("{NAMESPACE}/"));
    let all = all.with_prefix();
    admin.role_grant_permission(USER, all).await.unwrap();
    admin.user_add(USER, PASSWORD, None).await.unwrap();
    admin.user_grant_role(USER, USER).await.unwrap();
    admin.auth_enable().await.unwrap();
}

/// How a board says who it is.
pub(crate) fn user() -> Settings {
    Settings::new().user(USER, PASSWORD)
}

/// How the auditor does, of whom nothing changes.
pub(crate) fn root() -> Settings {
    Settings::new().user(ROOT, PASSWORD)
}

/// Lets the user do more, and changes the password for a moment.
pub(crate) async fn change(cluster: &Cluster) {
    let admin = client(cluster, Some(root_and_password())).await;
    let more = Permission::new(PermissionType::Read, "other/").with_prefix();
    until_done(async || {
        let mut admin = admin.clone();
        admin.role_grant_permission(USER, more.clone()).await
    })
    .await;
    for password in ["terces", PASSWORD] {
        until_done(async || admin.clone().user_change_password(USER, password).await).await;
        sleep(CHANGED).await;
    }
}

/// Does what can be done again, until it is done: other faults can be in the way.
async fn until_done<T>(doing: impl AsyncFn() -> Result<T, etcd_client::Error>) {
    while doing().await.is_err() {
        sleep(CHANGED).await;
    }
}

/// Who may do everything.
pub(crate) const fn root_and_password() -> (&'static str, &'static str) {
    (ROOT, PASSWORD)
}

async fn client(cluster: &Cluster, user: Option<(&str, &str)>) -> Client {
    let leader = cluster.leader().await;
    Box::pin(cluster.administrator(leader, user)).await
}
