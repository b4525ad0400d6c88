//! An atom of a flow.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::detail::Detail;
use crate::error::{Error, ErrorKind, Result};

/// An atom of a [`FlowDetail`](super::FlowDetail): a step, what it is in, and what came of it. Made
/// by [`FlowDetail::add_atom`](super::FlowDetail::add_atom).
#[derive(Clone)]
pub struct AtomDetail {
    pub(super) detail: Detail,
}

impl AtomDetail {
    pub(super) fn new(uuid: Uuid, name: String) -> Self {
        Self {
            detail: Detail::new(uuid, name),
        }
    }

    /// Replaces what is noted about the atom. Defaults to nothing.
    pub fn set_meta(&mut self, meta: Map<String, Value>) -> &mut Self {
        self.detail.edit().meta = meta;
        self
    }

    /// Notes what the atom is in: any text. TaskFlow says `PENDING`, `RUNNING`, `SUCCESS`,
    /// `FAILURE` and so on. Defaults to none.
    pub fn set_state(&mut self, state: impl Into<String>) -> &mut Self {
        self.detail.edit().state = Some(state.into());
        self
    }

    /// Notes what came of the atom: any JSON. Defaults to `null`.
    pub fn set_results(&mut self, results: impl Into<Value>) -> &mut Self {
        self.detail.edit().results = results.into();
        self
    }

    /// Notes the version of the code that made the results. Defaults to none.
    pub fn set_version(&mut self, version: impl Into<String>) -> &mut Self {
        self.detail.edit().version = Some(version.into());
        self
    }

    /// The uuid of the atom.
    pub const fn uuid(&self) -> Uuid {
        self.detail.record().uuid
    }

    /// The name of the atom, which no other atom of the flow has.
    pub fn name(&self) -> &str {
        &self.detail.record().name
    }

    /// What is noted about the atom.
    pub const fn meta(&self) -> &Map<String, Value> {
        &self.detail.record().meta
    }

    /// What the atom is in, if that was noted.
    pub fn state(&self) -> Option<&str> {
        self.detail.record().state.as_deref()
    }

    /// What came of the atom; `null` if nothing was noted.
    pub const fn results(&self) -> &Value {
        &self.detail.record().results
    }

    /// The results as a type of yours.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if they do not have that form. The message does not tell
    /// what they say.
    pub fn results_as<T: DeserializeOwned>(&self) -> Result<T> {
        // The error of the reader would repeat what the results say.
        T::deserialize(self.results()).map_err(|_unlike| {
            let doing = format!("read the results of atom {:?}", self.name());
            Error::new(ErrorKind::Corrupt, doing, "they do not have that form")
        })
    }

    /// The version of the code that made the results, if that was noted.
    pub fn version(&self) -> Option<&str> {
        self.detail.record().version.as_deref()
    }

    /// When the atom was first saved, by the clock of who did so.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.detail.record().created_at()
    }

    /// When the atom was last saved, by the clock of who did so.
    pub fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.detail.record().updated_at()
    }
}

/// Leaves meta and results out: they can carry secrets.
impl fmt::Debug for AtomDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomDetail")
            .field("uuid", &self.uuid())
            .field("name", &self.name())
            .field("state", &self.state())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
