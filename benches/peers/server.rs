//! The boards that are compared, and the servers that they are on.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jobboard::testing::LocalEtcd;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{support::process::Process, worker};

/// Names the folder that `deploy/tools.sh peers` prints.
const PEERS: &str = "JOBBOARD_PEERS";

/// Where the package of ZooKeeper puts it.
const ZOOKEEPER: &str = "/usr/share/java/zookeeper.jar";

/// More than any server takes to start.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// A board that does the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Board {
    /// Its jobs are done by conductors.
    Ours,
    /// Its jobs are done in the same loop as TaskFlow's.
    OursInALoop,
    TaskflowEtcd,
    TaskflowZookeeper,
    TaskflowRedis,
}

impl Board {
    /// All, ours first.
    pub(crate) const ALL: [Self; 5] = [
        Self::Ours,
        Self::OursInALoop,
        Self::TaskflowEtcd,
        Self::TaskflowZookeeper,
        Self::TaskflowRedis,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "conductor",
            Self::OursInALoop => "loop",
            Self::TaskflowEtcd => "TaskFlow, etcd",
            Self::TaskflowZookeeper => "TaskFlow, ZooKeeper",
            Self::TaskflowRedis => "TaskFlow, Redis",
        }
    }
}

/// What TaskFlow's boards need.
pub(crate) struct Peers {
    python: PathBuf,
    redis: PathBuf,
}

/// A server with nothing in it. It is stopped when this is dropped.
pub(crate) struct Server {
    board: Board,
    python: PathBuf,
    port: u16,
    _runs: Runs,
}

#[expect(dead_code, reason = "kept to be dropped")]
enum Runs {
    Etcd(LocalEtcd),
    Other(Child, TempDir),
}

impl Peers {
    pub(crate) fn from_env() -> Self {
        let folder = env::var_os(PEERS)
            .unwrap_or_else(|| panic!("{PEERS} is to name what `deploy/tools.sh peers` prints"));
        let folder = Path::new(&folder);
        Self {
            python: folder.join("python/bin/python"),
            redis: folder.join("redis-server"),
        }
    }

    /// Starts a server for this board.
    pub(crate) async fn start(&self, board: Board, etcd: &Path) -> Server {
        let (port, runs) = match board {
            Board::Ours | Board::OursInALoop | Board::TaskflowEtcd => {
                let etcd = LocalEtcd::builder().binary(etcd).start().await.unwrap();
                let port = etcd.endpoint().rsplit(':').next().map(str::parse);
                (port.unwrap().unwrap(), Runs::Etcd(etcd))
            }
            Board::TaskflowZookeeper => {
                let (port, data) = (free_port(), TempDir::new().unwrap());
                let settings = data.path().join("zoo.cfg");
                // TaskFlow asks for the version by `envi`.
                let text = format!(
                    "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
                     admin.enableServer=false\n4lw.commands.whitelist=envi\n",
                    data.path().display()
                );
                std::fs::write(&settings, text).unwrap();
                let mut java = Command::new("java");
                java.args(["-cp", ZOOKEEPER])
                    .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
                    .arg(settings);
                (port, run(java, port, data).await)
            }
            Board::TaskflowRedis => {
                let (port, data) = (free_port(), TempDir::new().unwrap());
                let mut redis = Command::new(&self.redis);
                redis
                    .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
                    .arg(data.path());
                (port, run(redis, port, data).await)
            }
        };
        Server {
            board,
            python: self.python.clone(),
            port,
            _runs: runs,
        }
    }
}

impl Server {
    /// The order to do all jobs.
    pub(crate) const fn drain(&self) -> &'static str {
        match self.board {
            Board::Ours => "conduct",
            _ => "drain",
        }
    }

    /// Starts a process that takes orders, on the board of this server.
    pub(crate) fn worker(&self) -> Process {
        let backend = match self.board {
            Board::Ours | Board::OursInALoop => {
                let mut command = Command::new(env::current_exe().unwrap());
                command.env(worker::ENDPOINT, format!("http://127.0.0.1:{}", self.port));
                return Process::start(&mut command);
            }
            Board::TaskflowEtcd => "etcd",
            Board::TaskflowZookeeper => "zookeeper",
            Board::TaskflowRedis => "redis",
        };
        let mut command = Command::new(&self.python);
        command
            .args(["-W", "ignore"])
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/benches/peers/worker.py"
            ))
            .args([backend, &self.port.to_string()]);
        Process::start(&mut command)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server, and waits until it takes connections.
async fn run(mut command: Command, port: u16, data: TempDir) -> Runs {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let started = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let started = timeout(STARTED_WITHIN, started).await;
    assert!(started.is_ok(), "{command:?} does not start");
    Runs::Other(child, data)
}
