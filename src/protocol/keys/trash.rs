//! Where the trash of a board is kept: trashed jobs, and what can not be read.

use percent_encoding::{percent_decode_str, percent_encode};

use super::{ESCAPED, JobId, Keyspace};
use crate::store::{Key, KeyRange};

/// What the places of the trash begin with where no job lies.
const QUARANTINED: &str = "quarantined.";

/// What the names of keys of the trash begin with. No key of the jobs does.
const IN_TRASH: &[u8] = b".trash/";

impl Keyspace {
    /// Where a trashed job goes: the `copy`-th place of its number, the first being 0.
    pub(crate) fn trash(&self, job: JobId, copy: u64) -> Key {
        match copy {
            0 => self.trash.child(format_args!("job{job}")),
            copy => self.trash.child(format_args!("job{job}.{copy}")),
        }
    }

    /// The range of everything in the trash.
    pub(crate) fn all_trash(&self) -> KeyRange {
        KeyRange::prefix(self.trash.clone())
    }

    /// The range of all further places of a job's number in the trash, after the first.
    pub(crate) fn more_trash(&self, job: JobId) -> KeyRange {
        KeyRange::between(
            self.trash.child(format_args!("job{job}.")),
            self.trash.child(format_args!("job{job}/")),
        )
        .expect("a slash comes right after a full stop")
    }

    /// The job in a place of the [trash](Self::all_trash); `None` if the key is no such place.
    pub(crate) fn parse_trash(&self, key: &Key) -> Option<JobId> {
        let rest = key.as_bytes().strip_prefix(self.trash.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?.strip_prefix("job")?;
        JobId::from_digits(rest.split_once('.').map_or(rest, |(job, _copy)| job))
    }

    /// Where a key goes that can not be read, by its [`name`](Self::name_of): the `copy`-th place, the
    /// first being 0. No job goes there.
    pub(crate) fn quarantine(&self, name: &str, copy: u64) -> Key {
        match copy {
            0 => self.trash.child(format_args!("{QUARANTINED}{name}")),
            copy => self.trash.child(format_args!("{QUARANTINED}{name}.{copy}")),
        }
    }

    /// Whether a key of the [trash](Self::all_trash) is a place for what can not be read.
    pub(crate) fn is_quarantine(&self, key: &Key) -> bool {
        let rest = key.as_bytes().strip_prefix(self.trash.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(QUARANTINED.as_bytes()))
    }

    /// The range of all places for what can not be read of a job.
    pub(crate) fn quarantine_of_job(&self, job: JobId) -> KeyRange {
        KeyRange::prefix(self.trash.child(format_args!("{QUARANTINED}job{job}.")))
    }

    /// The name of a key of the [jobs](Self::jobs) or of the [trash](Self::all_trash), where it is kept
    /// as a text: what follows the board in it, escaped, and after `.trash/` in the trash. `None` for
    /// any other key.
    pub(crate) fn name_of(&self, key: &Key) -> Option<String> {
        let escaped = |rest: &[u8]| percent_encode(rest, ESCAPED).to_string();
        if self.jobs().contains(key) {
            key.as_bytes()
                .strip_prefix(self.jobs.as_bytes())
                .map(escaped)
        } else {
            let rest = key.as_bytes().strip_prefix(self.trash.as_bytes())?;
            Some(escaped(&[IN_TRASH, rest].concat()))
        }
    }

    /// The key of that [name](Self::name_of); `None` if there is none.
    pub(crate) fn parse_name(&self, name: &str) -> Option<Key> {
        let rest: Vec<u8> = percent_decode_str(name).collect();
        let (area, rest) = match rest.strip_prefix(IN_TRASH) {
            Some(rest) => (&self.trash, rest),
            None => (&self.jobs, &rest[..]),
        };
        let key = Key::new([area.as_bytes(), rest].concat()).ok()?;
        // There are other ways to escape a name.
        (self.name_of(&key)? == name).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BoardName, JobPart, Namespace},
        *,
    };

    fn keyspace() -> Keyspace {
        Keyspace::new(&Namespace::default(), &BoardName::default())
    }

    fn job(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    fn text(key: &Key) -> &str {
        key.as_str().unwrap()
    }

    #[test]
    fn places_of_the_trash_are_read_back() {
        let keys = keyspace();
        for copy in [0, 1, 12, u64::MAX] {
            assert_eq!(keys.parse_trash(&keys.trash(job(42), copy)), Some(job(42)));
        }
        for odd in ["job", "job0", "jobs1", "1"] {
            assert_eq!(keys.parse_trash(&keys.trash.child(odd)), None, "{odd}");
        }
    }

    #[test]
    fn names_of_keys_are_read_back() {
        let keys = keyspace();
        let odd = Key::new(&b"/taskflow/jobs/jobboard/job7.\xff/%"[..]).unwrap();
        for (key, name) in [
            (keys.job(job(42), JobPart::Data), "job42.data"),
            (keys.jobs.child("job0.data"), "job0.data"),
            (odd, "job7.%FF%2F%25"),
            (keys.trash(job(42), 1), ".trash%2Fjob42.1"),
            (keys.trash.child("odd ä"), ".trash%2Fodd%20%C3%A4"),
        ] {
            assert_eq!(keys.name_of(&key).as_deref(), Some(name));
            assert_eq!(keys.parse_name(name), Some(key));
        }
        let elsewhere = [keys.sequence(), keys.done(job(42)), keys.paused()];
        for key in elsewhere {
            assert_eq!(keys.name_of(&key), None, "{key}");
        }
        for odd in [
            "",
            "sequence",
            "jobs",
            "job42/data",
            "job42%2edata",
            "job42%2",
        ] {
            assert_eq!(keys.parse_name(odd), None, "{odd}");
        }
    }

    #[test]
    fn places_for_what_can_not_be_read_are_no_places_of_jobs() {
        let keys = keyspace();
        let place = keys.quarantine("job42.data", 0);
        assert_eq!(
            text(&place),
            "/taskflow/.trash/jobboard/quarantined.job42.data"
        );
        for copy in [0, 1, 12] {
            let place = keys.quarantine("job42.data", copy);
            assert!(keys.all_trash().contains(&place) && keys.is_quarantine(&place));
            assert_eq!(keys.parse_trash(&place), None);
            assert!(!keys.more_trash(job(42)).contains(&place));
            assert!(keys.quarantine_of_job(job(42)).contains(&place));
            assert!(!keys.quarantine_of_job(job(4)).contains(&place));
        }
        assert!(!keys.is_quarantine(&keys.trash(job(42), 0)));
        assert!(!keys.is_quarantine(&keys.jobs.child("quarantined.x")));
    }
}
