//! What the keys of one job make, and how they change it.

use std::sync::Arc;

use super::entry::{Beside, Entry, Holder};
use crate::{
    protocol::{
        keys::{JobId, JobPart},
        posting::Posting,
        record::Unreadable,
    },
    store::{KeyValue, Revision},
};

/// What the keys of one job make.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Visible(Arc<Entry>),
    Hidden(Box<Hidden>),
}

/// A job that has keys and no posting that can be read.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    /// Whether there is a posting at all.
    pub(super) posted: bool,
    beside: Beside,
}

/// A job whose keys are being changed.
pub(super) struct Touched {
    /// When it was changed last.
    pub(super) revision: Revision,
    pub(super) before: Option<Slot>,
    posting: Data,
    beside: Beside,
}

pub(super) enum Data {
    Missing,
    Broken,
    Readable(Revision, Arc<Posting>),
}

impl Slot {
    pub(super) const fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Visible(entry) => Some(entry),
            Self::Hidden(_) => None,
        }
    }

    pub(super) fn beside(&self) -> &Beside {
        match self {
            Self::Visible(entry) => &entry.beside,
            Self::Hidden(hidden) => &hidden.beside,
        }
    }

    /// Whether there is no posting, only what would stand beside it.
    pub(super) fn is_orphan(&self) -> bool {
        matches!(self, Self::Hidden(hidden) if !hidden.posted)
    }
}

/// Who holds the job, whether or not it can be read.
pub(super) fn holder(slot: Option<&Slot>) -> Option<&Arc<Holder>> {
    slot.and_then(|slot| slot.beside().holder.as_ref())
}

impl Touched {
    pub(super) fn new(before: Option<&Slot>) -> Self {
        let posting = match before {
            Some(Slot::Hidden(hidden)) if hidden.posted => Data::Broken,
            None | Some(Slot::Hidden(_)) => Data::Missing,
            Some(Slot::Visible(entry)) => Data::Readable(entry.posted, Arc::clone(&entry.posting)),
        };
        Self {
            revision: Revision::ZERO,
            posting,
            beside: before.map(Slot::beside).cloned().unwrap_or_default(),
            before: before.cloned(),
        }
    }

    /// Takes in one key, put or deleted.
    pub(super) fn take(&mut self, part: JobPart, kv: Option<&KeyValue>) -> Result<(), Unreadable> {
        match (part, kv) {
            (JobPart::Data, None) => self.posting = Data::Missing,
            (JobPart::Data, Some(kv)) => match Posting::read(kv.value.clone()) {
                Ok(posting) => self.posting = Data::Readable(kv.create_revision, Arc::new(posting)),
                Err(why) => {
                    self.posting = Data::Broken;
                    return Err(why);
                }
            },
            (part, None) => self.beside.delete(part),
            (part, Some(kv)) => return self.beside.put(part, kv),
        }
        Ok(())
    }

    /// The job as it was and as it is now.
    pub(super) fn finish(self, job: JobId) -> (Option<Slot>, Option<Slot>) {
        let Self {
            before,
            posting,
            beside,
            revision: _,
        } = self;
        let hidden = |posted, beside| Some(Slot::Hidden(Box::new(Hidden { posted, beside })));
        let after = match posting {
            Data::Readable(posted, posting) => Some(Slot::Visible(Arc::new(Entry {
                job,
                posted,
                posting,
                beside,
            }))),
            Data::Broken => hidden(true, beside),
            Data::Missing if beside == Beside::default() => None,
            Data::Missing => hidden(false, beside),
        };
        (before, after)
    }
}
