//! Where the board is, and how to get there.
#![expect(
    clippy::doc_markdown,
    reason = "help on a terminal, where backticks are noise"
)]

use super::Failure;
use crate::{
    BoardName, JobBoard, JobBoardBuilder, Namespace,
    store::etcd::{Etcd, Settings},
};

/// The environment variable with the password of `--user`. No option, so that it stands in no list
/// of processes.
const PASSWORD: &str = "JOBBOARD_PASSWORD";

/// Which board of which etcd.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Where the board is")]
pub(super) struct Place {
    /// The members of the etcd cluster, separated by commas.
    #[arg(
        long,
        global = true,
        env = "JOBBOARD_ENDPOINTS",
        value_name = "URL,URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:2379"
    )]
    pub(super) endpoints: Vec<String>,

    /// The namespace of the board's keys.
    #[arg(
        long,
        global = true,
        env = "JOBBOARD_NAMESPACE",
        value_name = "NS",
        default_value_t
    )]
    pub(super) namespace: Namespace,

    /// The name of the board.
    #[arg(
        long,
        global = true,
        env = "JOBBOARD_BOARD",
        value_name = "NAME",
        default_value_t
    )]
    pub(super) board: BoardName,

    /// The user of etcd; the password comes from the environment variable JOBBOARD_PASSWORD.
    #[arg(long, global = true, env = "JOBBOARD_USER", value_name = "USER")]
    pub(super) user: Option<String>,
}

impl Place {
    /// A board of the default namespace on an etcd that wants no user.
    pub(super) fn of(endpoint: String, board: &str) -> Result<Self, Failure> {
        Ok(Self {
            endpoints: vec![endpoint],
            namespace: Namespace::default(),
            board: board.parse()?,
            user: None,
        })
    }

    /// Connects, to work with the board.
    pub(super) async fn connect(&self) -> Result<JobBoard, Failure> {
        self.connect_with(|board| board).await
    }

    /// Connects, to look at the board only: nothing is written, not even a session.
    pub(super) async fn look(&self) -> Result<JobBoard, Failure> {
        let look_only = |board: JobBoardBuilder| board.read_only(true);
        self.connect_with(look_only).await
    }

    /// Connects, with further settings of the board.
    pub(super) async fn connect_with(
        &self,
        set_up: impl FnOnce(JobBoardBuilder) -> JobBoardBuilder,
    ) -> Result<JobBoard, Failure> {
        if self.endpoints.iter().any(|it| it.starts_with("https://")) {
            let why =
                "the command line has no options for TLS yet, programs that use the library do";
            return Err(Failure::new(format!("connect to etcd by https: {why}")));
        }
        let mut settings = Settings::new();
        if let Some(user) = &self.user {
            let password = std::env::var(PASSWORD).map_err(|_| {
                Failure::new(format!("connect as {user}: {PASSWORD} is not set to text"))
            })?;
            settings = settings.user(user, password);
        }
        let etcd = Etcd::connect_with(&self.endpoints, settings).await?;
        let board = JobBoard::builder(self.board.as_str())
            .namespace(self.namespace.as_str())
            .store(etcd);
        Ok(set_up(board).connect().await?)
    }
}
