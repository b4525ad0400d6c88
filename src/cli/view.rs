//! What is shown of a job, as far as its records can be read.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::output::{NONE, plain};
use crate::{Holder, Job, JobBoard, JobId, JobState, Unreadable};

/// The state of what is on the board and is no job that can be read.
pub(super) const UNREADABLE: &str = "UNREADABLE";

/// A job as it is printed, or a key that belongs to none.
#[derive(Debug, Serialize)]
pub(super) struct JobView {
    pub(super) number: Option<u64>,
    pub(super) uuid: Option<Uuid>,
    pub(super) name: Option<String>,
    pub(super) priority: Option<&'static str>,
    pub(super) state: &'static str,
    /// Which client posted it.
    posted_by: Option<Client>,
    pub(super) owner: Option<String>,
    /// Which client the owner claimed it with.
    claimed_by: Option<Client>,
    /// Whether the job comes back by itself when its owner dies.
    leased: Option<bool>,
    pub(super) created_on: Option<String>,
    pub(super) last_modified: Option<String>,
    /// Its details can carry secrets, so that only who asks for them gets them.
    #[serde(flatten)]
    pub(super) content: Option<Content>,
    unreadable: Vec<Broken>,
}

/// What a job is about.
#[derive(Debug, Serialize)]
pub(super) struct Content {
    pub(super) book: Option<Book>,
    pub(super) details: Map<String, Value>,
}

/// The logbook that a job refers to.
#[derive(Debug, Serialize)]
pub(super) struct Book {
    pub(super) name: String,
    pub(super) uuid: Uuid,
}

/// Whose records they are. What carries nothing of this library's is TaskFlow's, unless a person
/// wrote it by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Client {
    Jobboard,
    TaskFlow,
}

/// A key that can not be read.
#[derive(Debug, Serialize)]
struct Broken {
    key: String,
    why: String,
    /// Whether a newer version of this library wrote it.
    newer: bool,
}

impl JobView {
    /// What a list shows of a job, of which some keys are `unreadable`; `None` once it is gone.
    pub(super) fn brief(job: &Job, unreadable: &[Unreadable]) -> Option<Self> {
        let view = Self::unreadable(job.board(), job.id(), unreadable);
        let state = job.state();
        (state != JobState::Complete).then(|| Self {
            uuid: Some(job.uuid()),
            name: Some(job.name().to_owned()),
            priority: Some(job.priority().as_str()),
            state: state.as_str(),
            posted_by: Some(Client::of(job.is_foreign())),
            created_on: job.created_on().map(time),
            last_modified: job.last_modified().map(time),
            ..view
        })
    }

    /// All of a job.
    pub(super) fn full(job: &Job, unreadable: &[Unreadable]) -> Option<Self> {
        let book = job.book_name().zip(job.book_uuid());
        let book = book.map(|(name, uuid)| Book {
            name: name.to_owned(),
            uuid,
        });
        Self::brief(job, unreadable).map(|brief| Self {
            content: Some(Content {
                book,
                details: job.details(),
            }),
            ..brief
        })
    }

    /// What is there of a job whose posting can not be read or is missing: who holds it, and why.
    pub(super) fn unreadable(board: &JobBoard, job: JobId, unreadable: &[Unreadable]) -> Self {
        let view = Self {
            number: Some(job.get()),
            unreadable: unreadable.iter().map(Broken::new).collect(),
            ..Self::nothing()
        };
        view.held(board.holder(job))
    }

    /// A key that belongs to no job.
    pub(super) fn stray(unreadable: &Unreadable) -> Self {
        Self {
            unreadable: vec![Broken::new(unreadable)],
            ..Self::nothing()
        }
    }

    fn held(self, holder: Option<Holder>) -> Self {
        let Some(Holder {
            name,
            session,
            leased,
            ..
        }) = holder
        else {
            return self;
        };
        Self {
            // Of an owner that can not be read nothing else is known.
            claimed_by: name.is_some().then(|| Client::of(session.is_none())),
            owner: name,
            leased: Some(leased),
            ..self
        }
    }

    const fn nothing() -> Self {
        Self {
            number: None,
            uuid: None,
            name: None,
            priority: None,
            state: UNREADABLE,
            posted_by: None,
            owner: None,
            claimed_by: None,
            leased: None,
            created_on: None,
            last_modified: None,
            content: None,
            unreadable: Vec::new(),
        }
    }

    /// The number of the job.
    pub(super) fn number(&self) -> String {
        self.number
            .map_or_else(|| NONE.to_owned(), |it| it.to_string())
    }

    /// The owner of the job.
    pub(super) fn owner(&self) -> String {
        let is_held = self.state == JobState::Claimed.as_str();
        let unknown = if is_held { "?" } else { NONE };
        plain(self.owner.as_deref().unwrap_or(unknown))
    }

    /// What a person should know of the job beyond its fields.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.posted_by == Some(Client::TaskFlow) {
            notes.push("posted by TaskFlow".to_owned());
        }
        if self.claimed_by == Some(Client::TaskFlow) {
            notes.push("claimed by TaskFlow".to_owned());
        }
        if self.leased == Some(false) {
            notes.push("stays claimed when its owner dies".to_owned());
        }
        notes.extend(self.unreadable.iter().map(Broken::note));
        notes
    }
}

impl Client {
    const fn of(is_foreign: bool) -> Self {
        if is_foreign {
            Self::TaskFlow
        } else {
            Self::Jobboard
        }
    }
}

impl Broken {
    fn new(unreadable: &Unreadable) -> Self {
        Self {
            key: unreadable.key.to_string(),
            why: unreadable.why.clone(),
            newer: unreadable.newer,
        }
    }

    /// The key by what follows the board in it, and what is wrong with it.
    fn note(&self) -> String {
        let key = self.key.rsplit('/').next().unwrap_or(&self.key);
        plain(&format!("{key}: {}", self.why))
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
