//! A cluster of members of etcd, each of which can be killed, stopped and started again.
#![allow(dead_code, reason = "not all stories do all of this to a cluster")]

use std::{fs, path::Path, time::Duration};

use etcd_client::{Client, ConnectOptions};
use futures::future;
use jobboard::{
    store::{
        ErrorKind,
        etcd::{Etcd, Settings},
    },
    testing::LocalEtcd,
};
use tokio::time::sleep;

/// How long a member may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to do what it is asked to.
const MORE_PATIENCE: Duration = Duration::from_secs(10);

/// The members of one cluster. They are known by their places, and end with the test.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Dropping one kills it, also while it is stopped.
    members: Vec<LocalEtcd>,
    version: String,
}

/// Whether this version of etcd loses what it answered when it is killed soon after: those of 3.5.0 to 3.5.2
/// do (etcd issue 13766; seen here: consumed jobs that came back, under load and in one of some fifty runs
/// without). A member is to be stopped in good order there, or to be killed for good.
pub(crate) fn is_fragile(version: &str) -> bool {
    ["3.5.0", "3.5.1", "3.5.2"].contains(&version)
}

/// What a member says of itself and its leader.
#[derive(Clone, Copy, Debug)]
struct Status {
    place: usize,
    member: u64,
    leader: u64,
    term: u64,
}

impl Cluster {
    /// Starts a cluster of three.
    pub(crate) async fn start(binary: &Path) -> Self {
        Self::of(3, binary).await
    }

    /// Starts a cluster of so many.
    pub(crate) async fn of(members: usize, binary: &Path) -> Self {
        let etcd = LocalEtcd::builder().binary(binary);
        let members = etcd.start_members(members).await.unwrap();
        let version = members[0].version().await.unwrap();
        Self { members, version }
    }

    /// Where the members are.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(LocalEtcd::endpoint).collect()
    }

    /// A new way to the cluster, by all its endpoints, once it serves: an election can take longer
    /// than connecting may.
    pub(crate) async fn connect(&self) -> Etcd {
        self.connect_with(&Settings::new()).await
    }

    /// As [`connect`](Self::connect), with settings other than the default ones.
    pub(crate) async fn connect_with(&self, settings: &Settings) -> Etcd {
        loop {
            match Box::pin(Etcd::connect_with(self.endpoints(), settings.clone())).await {
                Ok(etcd) => return etcd,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    }

    /// The places of all members.
    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.members.len()).collect()
    }

    /// The place of the member that leads, once one does.
    pub(crate) async fn leader(&self) -> usize {
        self.led_by().await.0
    }

    /// The places of the members that follow, once one leads.
    pub(crate) async fn followers(&self) -> Vec<usize> {
        let leader = self.leader().await;
        let mut all = self.all();
        all.retain(|place| *place != leader);
        all
    }

    /// The place of the member to which this process has the most connections.
    pub(crate) fn talked_to(&self) -> usize {
        let ours = own_sockets();
        let count = |place: &usize| {
            let endpoint = self.members[*place].endpoint();
            let port: u16 = endpoint.rsplit(':').next().unwrap().parse().unwrap();
            sockets_to(port)
                .iter()
                .filter(|it| ours.contains(it))
                .count()
        };
        self.all().into_iter().max_by_key(count).unwrap()
    }

    /// The places of the members that were not killed.
    pub(crate) fn alive(&self) -> Vec<usize> {
        let mut all = self.all();
        all.retain(|place| self.members[*place].pid().is_some());
        all
    }

    /// The version that its members tell.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether its members [lose](is_fragile) what they answered when they are killed.
    pub(crate) fn is_fragile(&self) -> bool {
        is_fragile(&self.version)
    }

    /// Kills members that are to come back, or has them stop in good order where they would not come back
    /// with all that they answered. Tells whether they were killed.
    pub(crate) async fn take_away(&mut self, places: &[usize]) -> bool {
        let kills = !self.is_fragile();
        if kills {
            self.kill(places);
        } else {
            self.stop(places).await;
        }
        kills
    }

    /// Has members stop in good order (SIGTERM).
    pub(crate) async fn stop(&mut self, places: &[usize]) {
        let members = self.members.iter_mut().enumerate();
        let stopped = members.filter(|(place, _)| places.contains(place));
        let stops = stopped.map(|(_, member)| member.stop());
        future::try_join_all(stops).await.unwrap();
    }

    /// Kills members (SIGKILL).
    pub(crate) fn kill(&mut self, places: &[usize]) {
        for place in places {
            self.members[*place].kill();
        }
    }

    /// Freezes a member (SIGSTOP).
    pub(crate) fn pause(&self, place: usize) {
        self.members[place].pause().unwrap();
    }

    /// Lets a frozen member go on (SIGCONT).
    pub(crate) fn resume(&self, place: usize) {
        self.members[place].resume().unwrap();
    }

    /// Starts members that were killed again, side by side, with their data.
    pub(crate) async fn restart(&mut self, places: &[usize]) {
        let members = self.members.iter_mut().enumerate();
        let killed = members.filter(|(place, _)| places.contains(place));
        let restarts = killed.map(|(_, member)| member.restart());
        future::try_join_all(restarts).await.unwrap();
    }

    /// Hands the lead over to that member, unless it leads.
    pub(crate) async fn move_leader(&self, to: usize) {
        let (leader, said) = self.led_by().await;
        if leader == to {
            return;
        }
        let next = said.iter().find(|said| said.place == to).unwrap();
        let client = Box::pin(self.administrator(leader, None)).await;
        let mut maintenance = client.maintenance_client();
        maintenance.move_leader(next.member).await.unwrap();
    }

    /// Who leads, once the newest term has a leader that says so itself, and what the members said.
    async fn led_by(&self) -> (usize, Vec<Status>) {
        loop {
            let ask = |place| Box::pin(self.status(place));
            let asked = self.all().into_iter().map(ask);
            let said: Vec<_> = future::join_all(asked)
                .await
                .into_iter()
                .flatten()
                .collect();
            let newest = said.iter().map(|said| said.term).max();
            let leads = |said: &&Status| Some(said.term) == newest && said.leader == said.member;
            if let Some(leader) = said.iter().find(leads) {
                return (leader.place, said);
            }
            // An election takes a second or two.
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn status(&self, place: usize) -> Option<Status> {
        self.members[place].pid()?;
        let client = self.client(place, None, PATIENCE).await?;
        let said = client.maintenance_client().status().await.ok()?;
        Some(Status {
            place,
            member: said.header()?.member_id(),
            leader: said.leader(),
            term: said.raft_term(),
        })
    }

    /// A client of one member that does what it is asked to, as a user with a password if they are given.
    pub(crate) async fn administrator(&self, place: usize, user: Option<(&str, &str)>) -> Client {
        self.client(place, user, MORE_PATIENCE).await.unwrap()
    }

    /// A client of one member; none if that does not know the user in time.
    async fn client(
        &self,
        place: usize,
        user: Option<(&str, &str)>,
        patience: Duration,
    ) -> Option<Client> {
        let mut options = ConnectOptions::new().with_timeout(patience);
        if let Some((name, password)) = user {
            options = options.with_user(name, password);
        }
        let endpoint = self.members[place].endpoint();
        Client::connect([endpoint], Some(options)).await.ok()
    }
}

/// The numbers of the sockets that this process has open, as the system names them.
fn own_sockets() -> Vec<String> {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let named = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let socket = |name: &str| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    named.filter_map(|name| socket(name.to_str()?)).collect()
}

/// The numbers of the sockets on this machine that are connected to a port of loopback.
fn sockets_to(port: u16) -> Vec<String> {
    let remote = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_ascii_whitespace());
    rows.filter_map(|mut row| {
        // Remote address, state (1 is connected), and number are columns of the table.
        let (is_to_it, is_connected) = (row.nth(2)? == remote, row.next()? == "01");
        let number = row.nth(5)?;
        (is_to_it && is_connected).then(|| number.to_owned())
    })
    .collect()
}
