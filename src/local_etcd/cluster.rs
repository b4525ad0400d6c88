//! Several members of one cluster.

use futures::future;

use super::{LocalEtcd, LocalEtcdBuilder, Result, TRIES, binary, is_about_ports};

impl LocalEtcdBuilder {
    /// Starts so many members of one cluster, each as [`start`](Self::start) starts one, and waits
    /// until all serve.
    ///
    /// A member serves only when most members run: after most have ended, restart them side by
    /// side.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn start_members(mut self, count: usize) -> Result<Vec<LocalEtcd>> {
        self.binary = Some(match self.binary.take() {
            Some(path) => binary::check(path)?,
            None => binary::default()?,
        });
        for _ in 1..TRIES {
            match self.try_members(count).await {
                Err(error) if is_about_ports(&error) => {}
                done => return done,
            }
        }
        self.try_members(count).await
    }

    async fn try_members(&self, count: usize) -> Result<Vec<LocalEtcd>> {
        let prepare = |_| LocalEtcd::prepare(self.clone());
        let mut members = (0..count).map(prepare).collect::<Result<Vec<_>>>()?;
        let cluster: Vec<_> = members.iter().map(LocalEtcd::as_member).collect();
        for member in &mut members {
            member.cluster = Some(cluster.join(","));
        }
        future::try_join_all(members.iter_mut().map(LocalEtcd::launch)).await?;
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn members_of_a_cluster_know_each_other_and_come_back_side_by_side() {
        for binary in LocalEtcd::binaries().unwrap() {
            let etcd = LocalEtcd::builder().binary(binary);
            let mut members = etcd.start_members(3).await.unwrap();
            for member in &members {
                let known = super::super::http::get(member.ports.peer, "/members").await;
                let known = known.unwrap();
                assert!(members.iter().all(|it| known.contains(&it.name())));
            }
            let (killed, _) = members.split_at_mut(2);
            killed.iter_mut().for_each(LocalEtcd::kill);
            let restarts = killed.iter_mut().map(LocalEtcd::restart);
            future::try_join_all(restarts).await.unwrap();
        }
    }
}
