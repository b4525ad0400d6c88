//! A flow of a logbook.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{AtomDetail, detail::Detail};
use crate::random::Random;

/// A flow of a [`LogBook`](super::LogBook): atoms that belong together, and what is known of them
/// as a whole. Made by [`LogBook::add_flow`](super::LogBook::add_flow).
#[derive(Clone)]
pub struct FlowDetail {
    pub(super) detail: Detail,
    pub(super) atoms: Vec<AtomDetail>,
    pub(super) random: Random,
}

impl FlowDetail {
    pub(super) fn new(name: String, random: Random) -> Self {
        Self {
            detail: Detail::new(random.uuid(), name),
            atoms: Vec::new(),
            random,
        }
    }

    /// The atom of that name, added if there is none: 1 to 255 bytes, which is checked when the
    /// book is saved.
    pub fn add_atom(&mut self, name: &str) -> &mut AtomDetail {
        let there = self.atoms.iter().position(|atom| atom.name() == name);
        let place = there.unwrap_or(self.atoms.len());
        if there.is_none() {
            let atom = AtomDetail::new(self.random.uuid(), name.to_owned());
            self.detail.add(atom.uuid());
            self.atoms.push(atom);
        }
        &mut self.atoms[place]
    }

    /// The atom of that name, to change it.
    pub fn atom_mut(&mut self, name: &str) -> Option<&mut AtomDetail> {
        self.atoms.iter_mut().find(|atom| atom.name() == name)
    }

    /// Replaces what is noted about the flow. Defaults to nothing.
    pub fn set_meta(&mut self, meta: Map<String, Value>) -> &mut Self {
        self.detail.edit().meta = meta;
        self
    }

    /// Notes what the flow is in: any text. TaskFlow says `RUNNING`, `SUCCESS`, `FAILURE` and so
    /// on. Defaults to none.
    pub fn set_state(&mut self, state: impl Into<String>) -> &mut Self {
        self.detail.edit().state = Some(state.into());
        self
    }

    /// The atom of that name.
    pub fn atom(&self, name: &str) -> Option<&AtomDetail> {
        self.atoms.iter().find(|atom| atom.name() == name)
    }

    /// The atoms, in the order in which they were added.
    pub fn atoms(&self) -> &[AtomDetail] {
        &self.atoms
    }

    /// The uuid of the flow.
    pub const fn uuid(&self) -> Uuid {
        self.detail.record().uuid
    }

    /// The name of the flow, which no other flow of the book has.
    pub fn name(&self) -> &str {
        &self.detail.record().name
    }

    /// What is noted about the flow.
    pub const fn meta(&self) -> &Map<String, Value> {
        &self.detail.record().meta
    }

    /// What the flow is in, if that was noted.
    pub fn state(&self) -> Option<&str> {
        self.detail.record().state.as_deref()
    }

    /// When the flow was first saved, by the clock of who did so.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.detail.record().created_at()
    }

    /// When the flow or an atom of it was last saved, by the clock of who did so.
    pub fn updated_at(&self) -> Option<DateTime<Utc>> {
        let atoms = self.atoms.iter().map(AtomDetail::updated_at);
        atoms.fold(self.detail.record().updated_at(), Option::max)
    }

    pub(super) fn is_saved(&self) -> bool {
        self.detail.is_saved() && self.atoms.iter().all(|atom| atom.detail.is_saved())
    }
}

/// Leaves meta and results out: they can carry secrets.
impl fmt::Debug for FlowDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowDetail")
            .field("uuid", &self.uuid())
            .field("name", &self.name())
            .field("state", &self.state())
            .field("atoms", &self.atoms)
            .finish_non_exhaustive()
    }
}
