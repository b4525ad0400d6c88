//! Where the trash of a board is kept.

use super::{JobId, Keyspace};
use crate::store::{Key, KeyRange};

impl Keyspace {
    /// Where a trashed job goes: the `copy`-th place of its number, the first being 0.
    pub(crate) fn trash(&self, job: JobId, copy: u32) -> Key {
        match copy {
            0 => self.trash.child(&format!("job{job}")),
            copy => self.trash.child(&format!("job{job}.{copy}")),
        }
    }

    /// The range of everything in the trash.
    pub(crate) fn all_trash(&self) -> KeyRange {
        KeyRange::prefix(self.trash.clone())
    }

    /// The range of all further places of a job's number in the trash, after the first.
    pub(crate) fn more_trash(&self, job: JobId) -> KeyRange {
        KeyRange::between(
            self.trash.child(&format!("job{job}.")),
            self.trash.child(&format!("job{job}/")),
        )
        .expect("a slash comes right after a full stop")
    }

    /// The job in a place of the [trash](Self::all_trash); `None` if the key is no such place.
    pub(crate) fn parse_trash(&self, key: &Key) -> Option<JobId> {
        let rest = key.as_bytes().strip_prefix(self.trash.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?.strip_prefix("job")?;
        JobId::from_digits(rest.split_once('.').map_or(rest, |(job, _copy)| job))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BoardName, Namespace},
        *,
    };

    fn keyspace() -> Keyspace {
        Keyspace::new(&Namespace::default(), &BoardName::default())
    }

    fn job(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    #[test]
    fn places_of_the_trash_are_read_back() {
        let keys = keyspace();
        for copy in [0, 1, 12] {
            assert_eq!(keys.parse_trash(&keys.trash(job(42), copy)), Some(job(42)));
        }
        for odd in ["job", "job0", "jobs1", "1"] {
            assert_eq!(keys.parse_trash(&keys.trash.child(odd)), None, "{odd}");
        }
    }
}
