//! An etcd of one's own, for tests and for a first look at the board.
//!
//! It listens on loopback alone, keeps its data in a temporary folder, and never outlives the
//! process that started it, however that process ends: the kernel is asked (`setpriv --pdeathsig`)
//! to kill etcd with it. The kernel means the *thread* that started a process when it says parent,
//! so that every etcd is started by one thread that lives as long as the process (`spawner`).

mod binary;
mod cluster;
mod http;
mod ports;
mod spawner;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::ports::Ports;

/// How long etcd may take to serve, or to stop when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often is looked whether it does.
const LOOK: Duration = Duration::from_millis(5);
/// How often other ports are tried when somebody takes the chosen ones first.
const TRIES: usize = 5;
/// How much of the log is shown of an etcd that ended.
const LOG_LINES: usize = 24;

/// A running etcd, of one member or one [of several](LocalEtcdBuilder::start_members), on loopback
/// and in a temporary folder. Dropping it kills it, paused or not, and removes the folder.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use jobboard::testing::LocalEtcd;
///
/// let etcd = LocalEtcd::start().await?;
/// assert!(etcd.endpoint().starts_with("http://127.0.0.1:"));
/// # Ok::<(), jobboard::testing::LocalEtcdError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct LocalEtcd {
    process: Option<Child>,
    setup: LocalEtcdBuilder,
    ports: Ports,
    folder: TempDir,
    /// The members of its cluster if it has others, as etcd takes them.
    cluster: Option<String>,
}

/// How a [`LocalEtcd`] is to be started.
#[derive(Clone, Debug, Default)]
pub struct LocalEtcdBuilder {
    binary: Option<PathBuf>,
    flags: Vec<String>,
    tls: Option<ServerTls>,
}

/// What its clients' port shows to prove who it is.
#[derive(Clone, Debug)]
struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
}

/// Why a [`LocalEtcd`] could not be started, or did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalEtcdError {
    /// A program that is needed is not there; the message says what to install.
    #[error("{0}")]
    Missing(String),
    /// etcd ended by itself; the message shows the end of its log.
    #[error("etcd ended: {0}")]
    Ended(String),
    /// etcd runs but did not do as asked in time; the message says what.
    #[error("etcd {0}")]
    Late(String),
    /// The process is not running.
    #[error("etcd is not running")]
    NotRunning,
    /// The system refused something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// How often is looked whether a signalled process has stopped; far more than it ever takes.
const STOP_LOOKS: u32 = 20_000;

/// Whether every thread of a process has stopped.
fn has_stopped(pid: u32) -> Result<bool> {
    let failed = |source| LocalEtcdError::System {
        doing: "look at the threads of etcd",
        source,
    };
    for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(failed)? {
        let stat = fs::read_to_string(thread.map_err(failed)?.path().join("stat"));
        // The state is the first letter after the name, which is in parentheses.
        let stopped = stat.is_ok_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        });
        if !stopped {
            return Ok(false);
        }
    }
    Ok(true)
}

type Result<T, E = LocalEtcdError> = std::result::Result<T, E>;

impl LocalEtcdBuilder {
    /// The program to run. Defaults to the one that the environment variable `ETCD` names, else
    /// `etcd` on the `PATH`.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Adds a flag of etcd's command line, such as `--max-txn-ops=256`.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Has it take clients by TLS alone, with the certificate and the key in these files, in PEM.
    /// Defaults to no TLS. Whether it asks clients for a certificate in turn is a
    /// [`flag`](Self::flag): `--client-cert-auth`, with `--trusted-ca-file`.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some(ServerTls {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// [`Missing`](LocalEtcdError::Missing) if there is no such program,
    /// [`Ended`](LocalEtcdError::Ended) if etcd ends before it serves (a wrong flag),
    /// [`Late`](LocalEtcdError::Late) if it does not serve within 20 seconds.
    pub async fn start(mut self) -> Result<LocalEtcd> {
        self.binary = Some(match self.binary.take() {
            Some(path) => binary::check(path)?,
            None => binary::default()?,
        });
        let mut etcd = LocalEtcd::prepare(self)?;
        for _ in 1..TRIES {
            match etcd.launch().await {
                Err(error) if is_about_ports(&error) => etcd.ports = free_ports()?,
                done => return done.map(|()| etcd),
            }
        }
        etcd.launch().await.map(|()| etcd)
    }
}

impl LocalEtcd {
    /// Starts the default etcd, and waits until it serves.
    ///
    /// # Errors
    /// Those of [`LocalEtcdBuilder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Starts another than the default one.
    pub fn builder() -> LocalEtcdBuilder {
        LocalEtcdBuilder::default()
    }

    /// The etcds that tests are to pass on: those that the environment variable
    /// `JOBBOARD_TEST_ETCDS` lists, separated by colons, else the default one and the newer one
    /// that `make tools` provides.
    ///
    /// # Errors
    /// [`Missing`](LocalEtcdError::Missing) if one of them is not there: a test on one version
    /// alone must not look like a test on both.
    pub fn binaries() -> Result<Vec<PathBuf>> {
        binary::tested()
    }

    /// Kills it if it runs, and starts it again with the same data on the same ports.
    ///
    /// # Errors
    /// Those of [`LocalEtcdBuilder::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.launch().await
    }

    /// Kills it at once (SIGKILL). Its data stay for [`restart`](Self::restart).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error means that it had ended before.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Asks it to end in good order (SIGTERM), waits until it has, and kills it if that takes more
    /// than 20 seconds. Its data stay for [`restart`](Self::restart).
    ///
    /// # Errors
    /// [`NotRunning`](LocalEtcdError::NotRunning), [`System`](LocalEtcdError::System).
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.is_running()? && Instant::now() < deadline {
            sleep(LOOK).await;
        }
        self.kill();
        Ok(())
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing is answered. When this returns,
    /// each of its threads has stopped: the signal alone reaches them one after the other, and one
    /// that still runs can answer.
    ///
    /// # Errors
    /// [`NotRunning`](LocalEtcdError::NotRunning), [`System`](LocalEtcdError::System),
    /// [`Late`](LocalEtcdError::Late).
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let pid = self.pid().ok_or(LocalEtcdError::NotRunning)?;
        for _ in 0..STOP_LOOKS {
            if has_stopped(pid)? {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err(LocalEtcdError::Late("did not stop".to_owned()))
    }

    /// Lets it go on after [`pause`](Self::pause) (SIGCONT).
    ///
    /// # Errors
    /// [`NotRunning`](LocalEtcdError::NotRunning), [`System`](LocalEtcdError::System).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// The address of its clients' port, as a client takes it. The same after a restart.
    pub fn endpoint(&self) -> String {
        let scheme = match self.setup.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://127.0.0.1:{}", self.ports.client)
    }

    /// The version that the server tells, such as `3.4.23`.
    ///
    /// # Errors
    /// [`Late`](LocalEtcdError::Late) if it does not answer.
    pub async fn version(&self) -> Result<String> {
        http::get(self.ports.peer, "/version")
            .await
            .and_then(|body| {
                let answer: serde_json::Value = serde_json::from_str(&body).ok()?;
                Some(answer.get("etcdserver")?.as_str()?.to_owned())
            })
            .ok_or_else(|| LocalEtcdError::Late("did not tell its version".to_owned()))
    }

    /// The number of its process; `None` if it was killed or stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The folder of its data and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One that has all it needs and does not run yet.
    fn prepare(setup: LocalEtcdBuilder) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("jobboard-etcd-")
            .tempdir()
            .map_err(system("make a temporary folder"))?;
        Ok(Self {
            process: None,
            setup,
            ports: free_ports()?,
            folder,
            cluster: None,
        })
    }

    async fn launch(&mut self) -> Result<()> {
        let command = self.command()?;
        self.process = Some(spawner::spawn(command).await?);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !self.is_running()? {
                self.process = None;
                return Err(LocalEtcdError::Ended(self.end_of_log()));
            }
            if self.serves().await {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        self.kill();
        Err(LocalEtcdError::Late(format!(
            "did not serve in time: {}",
            self.end_of_log()
        )))
    }

    /// etcd binds both ports before it serves either, so that a peers' port that tells our name
    /// proves that the clients' port is ours as well, and not of somebody who took it first. A
    /// clients' port that speaks TLS can not be asked from here; etcd's health says the same.
    async fn serves(&self) -> bool {
        let name = self.name();
        let members = http::get(self.ports.peer, "/members").await;
        let served = match self.setup.tls {
            Some(_) => http::get(self.ports.health, "/health"),
            None => http::get(self.ports.client, "/version"),
        };
        members.is_some_and(|members| members.contains(&name)) && served.await.is_some()
    }

    fn command(&self) -> Result<Command> {
        let binary = self
            .setup
            .binary
            .as_ref()
            .ok_or(LocalEtcdError::NotRunning)?;
        let (name, client, peer) = (self.name(), self.endpoint(), self.peer());
        let alone = || self.as_member();
        let cluster = self.cluster.clone().unwrap_or_else(alone);
        let log = fs::File::create(self.log_path()).map_err(system("make the log of etcd"))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary)
            .args(["--name", &name])
            .arg("--data-dir")
            .arg(self.folder.path().join("data"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &cluster])
            .args(["--logger", "zap", "--log-level", "error"])
            .args(&self.setup.flags)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(tls) = &self.setup.tls {
            let health = format!("http://127.0.0.1:{}", self.ports.health);
            command
                .args(["--listen-metrics-urls", &health])
                .arg("--cert-file")
                .arg(&tls.certificate)
                .arg("--key-file")
                .arg(&tls.key);
        }
        // etcd takes each of its flags from the environment as well.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("ETCD_") && name != "ETCD_UNSUPPORTED_ARCH" {
                command.env_remove(&variable);
            }
        }
        Ok(command)
    }

    /// A name that no other etcd of this machine has: that of its folder.
    fn name(&self) -> String {
        let name = self.folder.path().file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn peer(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.peer)
    }

    /// It among the members of a cluster, as etcd takes them.
    fn as_member(&self) -> String {
        format!("{}={}", self.name(), self.peer())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn end_of_log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn is_running(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else {
            return Ok(false);
        };
        let ended = process.try_wait().map_err(system("look after etcd"))?;
        Ok(ended.is_none())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().ok_or(LocalEtcdError::NotRunning)?;
        kill_process(Pid::from_child(process), signal)
            .map_err(|errno| system("send a signal to etcd")(errno.into()))
    }
}

impl Drop for LocalEtcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_ports() -> Result<Ports> {
    Ports::free().map_err(system("find free ports"))
}

/// Whether somebody else took a port first.
fn is_about_ports(error: &LocalEtcdError) -> bool {
    matches!(error, LocalEtcdError::Ended(log) if log.contains("address already in use"))
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> LocalEtcdError {
    move |source| LocalEtcdError::System { doing, source }
}

#[cfg(test)]
mod tests;
