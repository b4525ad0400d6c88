//! Moving what can not be read into the trash.

use super::{TrashReview, failure};
use crate::{
    board::places,
    cache::Unreadable,
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::{BoardKey, JobPart},
        limits::{MAX_QUARANTINED, check_length, check_name, check_reason},
        offer::NotOffered,
        quarantine::{MAX_KEYS, Quarantine, QuarantineRefusal},
        quarantined::QuarantineRecord,
        record,
        trashed::Place,
    },
    store::{Key, KeyRange, KeyValue},
};

impl TrashReview {
    /// Moves a key that can not be read out of the way and into the trash: `by` is who does so, 1 to 255
    /// bytes, and `reason` is why, at most 4 KiB. What it held is kept to the byte.
    ///
    /// If it is the posting of a job, unreadable or missing, all keys of the job go with it, up to 50 of
    /// them; any other key goes alone. What can not be read is named by
    /// [`JobBoard::unreadable`](crate::JobBoard::unreadable) and in a [list](super::TrashList) of the
    /// trash. Nothing else ever removes it: a person decides.
    ///
    /// # Guarantees
    /// It is the very record that was seen that is moved (of a missing posting, what else there is of the
    /// job now), and no job that somebody holds. If this fails, but for [`Unknown`](ErrorKind::Unknown),
    /// everything is as it was.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it is gone or was written since it was seen;
    /// [`Claimed`](ErrorKind::Claimed) if somebody holds the job
    /// ([`JobBoard::release`](crate::JobBoard::release) ends that);
    /// [`Invalid`](ErrorKind::Invalid) if a [newer](Unreadable::newer) version of this library wrote it,
    /// if it is no key of the jobs or of the trash of this board, if the record would have more than
    /// 1.4 MiB, or for a name that is empty or over-long or an over-long reason; and those of
    /// [`JobBoard::post`](crate::JobBoard::post).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{JobBoard, store::{Key, Memory, StoreExt}};
    ///
    /// let store = Memory::new();
    /// let broken = Key::new("/taskflow/jobs/images/job7.data")?;
    /// store.put(broken.clone(), "{".into()).await?;
    ///
    /// let board = JobBoard::builder("images").store(store.clone()).connect().await?;
    /// let review = board.trash_review();
    /// for unreadable in board.unreadable() {
    ///     review.quarantine(&unreadable, "ops", Some("written by hand")).await?;
    /// }
    /// assert_eq!(store.get(broken.clone()).await?, None);
    /// let quarantined = &review.list().await?.quarantined[0];
    /// assert_eq!(quarantined.contents(), [(broken, "{".into())]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn quarantine(
        &self,
        unreadable: &Unreadable,
        by: &str,
        reason: Option<&str>,
    ) -> Result<()> {
        let doing = format!("quarantine {}", unreadable.key);
        check_name(&doing, "who quarantines it", by)?;
        check_reason(&doing, reason)?;
        let connection = self.board.connection_to_write(&doing)?;
        let shared = &self.board.0;
        let invalid = |why: &str| Error::new(ErrorKind::Invalid, &doing, why);
        if unreadable.newer {
            return Err(invalid("a newer version of this library wrote it"));
        }
        let name = shared.keys.name_of(&unreadable.key);
        let name = name.ok_or_else(|| invalid("it is no key of the board's jobs or trash"))?;
        let found = self.found(unreadable, &doing).await?;
        if let Some(kv) = found.iter().find(|kv| record::newer(&kv.value).is_some()) {
            let why = format!("a newer version of this library wrote {}", kv.key);
            return Err(invalid(&why));
        }
        if found.len() > MAX_KEYS {
            return Err(invalid(
                "the job has more than 50 keys: begin with the others",
            ));
        }
        let moved: Vec<_> = found.iter().map(Place::of).collect();
        let contents = found.into_iter().map(|kv| (kv.key, kv.value));
        let to_keep = QuarantineRecord {
            contents: contents.collect(),
            on: shared.clock.now(),
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
            error: unreadable.why.clone(),
        };
        let kept = to_keep.write(&shared.keys);
        let kept = kept.ok_or_else(|| invalid("it is no key of the board's jobs or trash"))?;
        check_length(&doing, "the record of it", kept.len(), MAX_QUARANTINED)?;
        let deadline = self.board.deadline();
        let mut copy = 0;
        loop {
            let to = (shared.keys.quarantine(&name, copy), kept.clone());
            let verb = Quarantine::new(&shared.keys, &unreadable.key, moved.clone(), to);
            let outcome = connection.pool().write(verb, deadline).await;
            match outcome.map_err(|error| failure::of_write(&doing, error))? {
                Ok(_at) => return Ok(()),
                Err(QuarantineRefusal::Owned(owner)) => {
                    return Err(failure::of_not_offered(doing, NotOffered::Owned(owner)));
                }
                Err(QuarantineRefusal::Changed) => return Err(changed(&doing)),
                Err(QuarantineRefusal::PlaceTaken) => {
                    copy = places::after(copy, &shared.random);
                }
            }
        }
    }

    /// Reads what is to be moved, if it is still as it was seen.
    async fn found(&self, unreadable: &Unreadable, doing: &str) -> Result<Vec<KeyValue>> {
        let (keys, key) = (&self.board.0.keys, &unreadable.key);
        let range = match keys.parse(key) {
            Some(BoardKey::Job(job, JobPart::Data)) => keys.all_of_job(job),
            _ => KeyRange::single(Key::clone(key)),
        };
        let found = self.read(range, doing).await?;
        let put = found.iter().find(|kv| kv.key == *key);
        let as_seen = match put {
            Some(put) => !unreadable.missing && put.mod_revision == unreadable.revision,
            None => unreadable.missing && !found.is_empty(),
        };
        if as_seen {
            Ok(found)
        } else {
            Err(changed(doing))
        }
    }
}

fn changed(doing: &str) -> Error {
    let why = "it is not there any more, or not as it was seen";
    Error::new(ErrorKind::NotFound, doing, why)
}
