//! What happened on a board, as its keys tell: replayed through a small model that shares nothing
//! with the protocol but the names of keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::story::{Promise, Violation};
use crate::store::{Event, Revision};

const NOT_OFF_THE_BOARD: &str = "it went into the trash and not off the board";

/// The keys of one board, as they are named.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Before the number of a job, on the board.
    pub(super) jobs: String,
    /// Before the number of a job, in the trash.
    pub(super) trash: String,
}

/// What a key is of a board.
enum Part {
    Data,
    Owner,
    Trash,
}

impl Names {
    pub(super) fn new(namespace: &str, board: &str) -> Self {
        Self {
            jobs: format!("{namespace}/jobs/{board}/job"),
            trash: format!("{namespace}/.trash/{board}/job"),
        }
    }

    fn part(&self, key: &str) -> Option<(u64, Part)> {
        if let Some(rest) = key.strip_prefix(&self.trash) {
            // A job that went into the trash under a number that is there already has one more.
            let number = rest.split('.').next()?;
            return Some((number.parse().ok()?, Part::Trash));
        }
        let (number, part) = key.strip_prefix(&self.jobs)?.split_once('.')?;
        let part = match part {
            "data" => Part::Data,
            "lock" => Part::Owner,
            _ => return None,
        };
        Some((number.parse().ok()?, part))
    }
}

/// A change of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) revision: Revision,
    pub(super) number: u64,
    pub(super) uuid: Uuid,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Posted {
        name: String,
    },
    /// With the revision at which it had been put into the trash.
    Restored {
        trashed: Revision,
    },
    Claimed {
        who: String,
    },
    /// The owner's key went, and the job stayed.
    Freed {
        token: Revision,
    },
    Consumed {
        token: Revision,
    },
    /// With the token of the owner, if it had one, and who is said to have done so.
    Trashed {
        token: Option<Revision>,
        by: Option<String>,
    },
}

/// A job on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OnBoard {
    pub(super) uuid: Uuid,
    pub(super) owner: Option<Owner>,
    unique: Option<String>,
}

impl OnBoard {
    /// Whether a client of TaskFlow's does to its job what it does before it takes it off the board.
    fn is_being_trashed(&self, trashed: &[Uuid]) -> bool {
        let of_taskflow = self.owner.as_ref().is_some_and(|owner| owner.of_taskflow);
        of_taskflow && trashed == [self.uuid]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) token: Revision,
    pub(super) who: String,
    /// Whether it is a client of TaskFlow's: its key names no session.
    of_taskflow: bool,
}

/// A job that was put into the trash and is on the board still.
#[derive(Clone, Copy, Debug)]
struct Trashing {
    uuid: Uuid,
    /// That of the owner who did so.
    token: Option<Revision>,
}

/// How a job has ended, for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Consumed,
    Trashed,
    /// It was purged from the trash.
    Purged,
}

/// All that happened.
#[derive(Debug)]
pub(super) struct History {
    names: Names,
    pub(super) changes: Vec<Change>,
    jobs: BTreeMap<u64, OnBoard>,
    ended: BTreeMap<Uuid, End>,
    posted: BTreeSet<Uuid>,
    pub(super) revision: Revision,
    /// Whether clients of TaskFlow's are on the board.
    pub(super) beside_taskflow: bool,
    /// Whether jobs may be purged from the trash.
    pub(super) purging: bool,
    /// What is in the trash, by its keys, and since when.
    trash: BTreeMap<String, (Uuid, Revision)>,
    /// The jobs that such a client has put into the trash, and not yet off the board.
    trashing: BTreeMap<u64, Trashing>,
}

/// What one revision did to the keys of one job.
#[derive(Default)]
struct Touched {
    data: Option<Touch>,
    owner: Option<Touch>,
    trashed: Vec<Uuid>,
    trashed_by: Option<String>,
    /// What went from the trash, and since when it had been there.
    untrashed: Vec<(Uuid, Revision)>,
}

enum Touch {
    Put(Value),
    Deleted,
}

impl History {
    pub(super) fn new(names: Names) -> Self {
        Self {
            names,
            changes: Vec::new(),
            jobs: BTreeMap::new(),
            ended: BTreeMap::new(),
            posted: BTreeSet::new(),
            revision: Revision::ZERO,
            beside_taskflow: false,
            purging: false,
            trash: BTreeMap::new(),
            trashing: BTreeMap::new(),
        }
    }

    /// The jobs that are on the board.
    pub(super) const fn jobs(&self) -> &BTreeMap<u64, OnBoard> {
        &self.jobs
    }

    /// The promise that is broken if nothing more happens.
    pub(super) fn unfinished(&self) -> Option<Violation> {
        let (number, _) = self.trashing.first_key_value()?;
        let number = Some(*number);
        Some(Violation::new(Promise::Kept, number, NOT_OFF_THE_BOARD))
    }

    /// Whether the job was consumed or lies in the trash.
    pub(super) fn has_ended(&self, uuid: Uuid) -> bool {
        self.ended.contains_key(&uuid)
    }

    /// The number of a job that was ever on the board.
    pub(super) fn number_of(&self, uuid: Uuid) -> Option<u64> {
        let mut changes = self.changes.iter();
        Some(changes.find(|change| change.uuid == uuid)?.number)
    }

    /// Takes in what one revision, or several whole ones, did. What it has taken in before is passed over: a
    /// member of etcd that lags behind tells it again.
    pub(super) fn take(&mut self, events: &[Event]) -> Result<(), Violation> {
        for events in events.chunk_by(|a, b| a.revision() == b.revision()) {
            let Some(first) = events.first() else {
                continue;
            };
            if first.revision() <= self.revision {
                continue;
            }
            self.revision = first.revision();
            let mut touched = BTreeMap::<u64, Touched>::new();
            for event in events {
                self.touch(event, &mut touched)?;
            }
            for (number, touched) in touched {
                self.apply(number, &touched)?;
            }
        }
        Ok(())
    }

    fn touch(
        &mut self,
        event: &Event,
        touched: &mut BTreeMap<u64, Touched>,
    ) -> Result<(), Violation> {
        let key = String::from_utf8_lossy(event.key().as_bytes());
        let Some((number, part)) = self.names.part(&key) else {
            return Ok(());
        };
        let touched = touched.entry(number).or_default();
        let touch = match event {
            Event::Put(kv) => Touch::Put(serde_json::from_slice(&kv.value).map_err(|error| {
                let why = format!("{key} is no JSON: {error}");
                Violation::new(Promise::Kept, Some(number), why)
            })?),
            Event::Delete { .. } => Touch::Deleted,
        };
        match (part, touch) {
            (Part::Data, touch) => touched.data = Some(touch),
            (Part::Owner, touch) => touched.owner = Some(touch),
            (Part::Trash, Touch::Put(record)) => {
                let uuid = uuid_of(number, &record)?;
                touched.trashed.push(uuid);
                let by = record["jobboard"]["trashed_by"].as_str();
                touched.trashed_by = by.map(str::to_owned);
                let place = self.trash.insert(key.into_owned(), (uuid, self.revision));
                touched.untrashed.extend(place);
            }
            (Part::Trash, Touch::Deleted) => touched.untrashed.extend(self.trash.remove(&*key)),
        }
        Ok(())
    }

    fn apply(&mut self, number: u64, touched: &Touched) -> Result<(), Violation> {
        let before = self.jobs.get(&number).cloned();
        let broken = |promise, why: &str| Violation::new(promise, Some(number), why);
        match (&touched.data, before.clone()) {
            (Some(Touch::Put(_)), Some(_)) => {
                return Err(broken(Promise::Kept, "a posting was written over"));
            }
            (Some(Touch::Put(posting)), None) => self.appear(number, posting, touched)?,
            (Some(Touch::Deleted), Some(job)) => self.disappear(number, &job, touched)?,
            (Some(Touch::Deleted) | None, None) | (None, Some(_)) if touched.trashed.is_empty() => {
            }
            (None, Some(job)) if job.is_being_trashed(&touched.trashed) => {
                let token = job.owner.map(|owner| owner.token);
                let uuid = job.uuid;
                self.trashing.insert(number, Trashing { uuid, token });
            }
            (Some(Touch::Deleted) | None, _) => {
                return Err(broken(Promise::Kept, NOT_OFF_THE_BOARD));
            }
        }
        self.purge(number, &touched.untrashed)?;
        match (&touched.owner, before.and_then(|job| job.owner)) {
            (Some(Touch::Put(record)), Some(owner)) => {
                let who = record["owner"].as_str().unwrap_or_default();
                let why = format!("it was claimed by {who} while {} owned it", owner.who);
                return Err(broken(Promise::OneOwner, &why));
            }
            (Some(Touch::Put(record)), None) => {
                let who = record["owner"].as_str().unwrap_or_default().to_owned();
                let owner = Owner {
                    token: self.revision,
                    who: who.clone(),
                    of_taskflow: self.beside_taskflow && record["jobboard"].is_null(),
                };
                let Some(job) = self.jobs.get_mut(&number) else {
                    // TaskFlow looks only afterwards whether there is a job.
                    if owner.of_taskflow {
                        return Ok(());
                    }
                    return Err(broken(Promise::OneOwner, "what is no job was claimed"));
                };
                job.owner = Some(owner);
                let uuid = job.uuid;
                self.note(number, uuid, What::Claimed { who });
            }
            (Some(Touch::Deleted), Some(owner)) => {
                if let Some(job) = self.jobs.get_mut(&number) {
                    job.owner = None;
                    let uuid = job.uuid;
                    self.note(number, uuid, What::Freed { token: owner.token });
                }
            }
            (None, Some(_)) if !self.jobs.contains_key(&number) => {
                return Err(broken(Promise::OneOwner, "its owner outlived it"));
            }
            (Some(Touch::Deleted), None) | (None, _) => {}
        }
        Ok(())
    }

    fn appear(&mut self, number: u64, posting: &Value, touched: &Touched) -> Result<(), Violation> {
        let broken = |why: &str| Err(Violation::new(Promise::Kept, Some(number), why));
        let uuid = uuid_of(number, posting)?;
        let what = match self.ended.get(&uuid) {
            Some(End::Consumed) => return broken("it came back after it was consumed"),
            Some(End::Purged) => return broken("it came back after it was purged"),
            Some(End::Trashed) => {
                let mut places = touched.untrashed.iter();
                let Some((_, trashed)) = places.find(|(job, _)| *job == uuid) else {
                    return broken("it came back and is still in the trash");
                };
                What::Restored { trashed: *trashed }
            }
            None if self.posted.contains(&uuid) => return broken("it was posted twice"),
            None => What::Posted {
                name: posting["name"].as_str().unwrap_or_default().to_owned(),
            },
        };
        let unique = posting["jobboard"]["unique"].as_str().map(str::to_owned);
        let mut others = self.jobs.values();
        if unique.is_some() && others.any(|other| other.unique == unique) {
            let why = "another job with its unique key is on the board";
            return Err(Violation::new(Promise::Unique, Some(number), why));
        }
        self.ended.remove(&uuid);
        self.posted.insert(uuid);
        let job = OnBoard {
            uuid,
            owner: None,
            unique,
        };
        self.jobs.insert(number, job);
        self.note(number, uuid, what);
        Ok(())
    }

    fn disappear(
        &mut self,
        number: u64,
        job: &OnBoard,
        touched: &Touched,
    ) -> Result<(), Violation> {
        let token = job.owner.as_ref().map(|owner| owner.token);
        let mut trashed = touched.trashed.clone();
        if let Some(begun) = self.trashing.remove(&number) {
            if begun.token != token {
                let why =
                    "it went off the board after the owner who put it into the trash had lost it";
                return Err(Violation::new(Promise::Fenced, Some(number), why));
            }
            trashed.push(begun.uuid);
        }
        let (end, what) = match (trashed.as_slice(), token) {
            ([], Some(token)) => (End::Consumed, What::Consumed { token }),
            ([], None) => {
                let why = "it was consumed while nobody owned it";
                return Err(Violation::new(Promise::Fenced, Some(number), why));
            }
            ([uuid], token) if *uuid == job.uuid => {
                let by = touched.trashed_by.clone();
                (End::Trashed, What::Trashed { token, by })
            }
            _ => {
                let why = "another job went into the trash in its place";
                return Err(Violation::new(Promise::Kept, Some(number), why));
            }
        };
        self.jobs.remove(&number);
        self.ended.insert(job.uuid, end);
        self.note(number, job.uuid, what);
        Ok(())
    }

    /// Takes in that jobs went from the trash: onto the board, or else for good.
    fn purge(&mut self, number: u64, untrashed: &[(Uuid, Revision)]) -> Result<(), Violation> {
        for (uuid, _) in untrashed {
            if let Some(end) = self.ended.get_mut(uuid) {
                if !self.purging {
                    let why = "it went from the trash and not onto the board";
                    return Err(Violation::new(Promise::Kept, Some(number), why));
                }
                *end = End::Purged;
            }
        }
        Ok(())
    }

    fn note(&mut self, number: u64, uuid: Uuid, what: What) {
        self.changes.push(Change {
            revision: self.revision,
            number,
            uuid,
            what,
        });
    }
}

fn uuid_of(number: u64, record: &Value) -> Result<Uuid, Violation> {
    let uuid = record["uuid"].as_str().and_then(|text| text.parse().ok());
    uuid.ok_or_else(|| Violation::new(Promise::Kept, Some(number), "a record has no uuid"))
}
