//! Whether what clients were told is what happened.

mod views;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    history::{Change, History, What},
    noted::{Answer, Asked, Belief, Call, Held, Noted, ToldEnd},
    story::{Promise, Violation},
};
use crate::{ErrorKind, store::Revision};

/// The history, and where in it what calls ask for is to be found.
pub(super) struct Judge<'a> {
    history: &'a History,
    posts: BTreeMap<&'a str, &'a Change>,
    claims: BTreeMap<&'a str, Vec<&'a Change>>,
    /// By since when each job had been in the trash.
    restores: BTreeMap<(Uuid, Revision), &'a Change>,
    /// What was trashed that nobody owned, by who did so.
    discards: BTreeMap<&'a str, &'a Change>,
    /// How each claim ended.
    ends: BTreeMap<Held, &'a Change>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        let (mut posts, mut claims, mut ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut restores, mut discards) = (BTreeMap::new(), BTreeMap::new());
        for change in &history.changes {
            match &change.what {
                What::Posted { name } => _ = posts.insert(name.as_str(), change),
                What::Claimed { who } => {
                    let claims: &mut Vec<_> = claims.entry(who.as_str()).or_default();
                    claims.push(change);
                }
                What::Freed { token } | What::Consumed { token } => {
                    ends.insert(change.held(*token), change);
                }
                What::Trashed {
                    token: Some(token), ..
                } => _ = ends.insert(change.held(*token), change),
                What::Trashed { token: None, by } => {
                    discards.extend(by.as_deref().map(|by| (by, change)));
                }
                What::Restored { trashed } => {
                    restores.insert((change.uuid, *trashed), change);
                }
            }
        }
        Self {
            history,
            posts,
            claims,
            restores,
            discards,
            ends,
        }
    }

    /// Judges all that was noted.
    pub(super) fn judge(&self, noted: &Noted) -> Result<(), Violation> {
        if let Some(broken) = self.history.unfinished() {
            return Err(broken);
        }
        for call in &noted.calls {
            self.call(call)?;
        }
        self.restored_once(&noted.calls)?;
        self.asked_for(noted)?;
        self.order(&noted.calls)?;
        if !noted.beliefs_excused {
            self.one_belief(&noted.beliefs, &noted.excused)?;
        }
        self.ends(&noted.ends)?;
        self.views(&noted.views)?;
        self.told(&noted.told, &noted.deaf)
    }

    /// I4, for one call.
    fn call(&self, call: &Call) -> Result<(), Violation> {
        let Some((_, answer)) = &call.ended else {
            return Ok(());
        };
        let found = self.found(&call.asked);
        let broken = |why: String| {
            let (number, why) = (self.number_of(&call.asked), format!("{why}: {call}"));
            Err(Violation::new(Promise::Definite, number, why))
        };
        match (answer, found) {
            (Answer::Done(_), None) => broken("what succeeded did not happen".to_owned()),
            (Answer::Done(Some(told)), Some(change)) => {
                let right = match call.asked {
                    // The token is the revision.
                    Asked::Claim(_) => *told == change.revision,
                    // It can have been learned later.
                    _ => *told >= change.revision,
                };
                if right {
                    return Ok(());
                }
                let why = format!("it happened at {} and not as told", change.revision);
                broken(why)
            }
            // An owner's key can go for other reasons, and another can have restored the job.
            (Answer::Failed(_), Some(_))
                if matches!(
                    call.asked,
                    Asked::Abandon(_) | Asked::Release(_) | Asked::Restore { .. }
                ) =>
            {
                Ok(())
            }
            (Answer::Failed(_) | Answer::NotNeeded, Some(change)) => {
                let why = format!("what failed happened at {}", change.revision);
                broken(why)
            }
            (Answer::Done(None), Some(_))
            | (Answer::Failed(_) | Answer::NotNeeded, None)
            | (Answer::Unsure(_), _) => Ok(()),
        }
    }

    /// The change that a call asked for.
    fn found(&self, asked: &Asked) -> Option<&'a Change> {
        let end = |held| self.ends.get(held).copied();
        match asked {
            Asked::Post(name) => self.posts.get(name.as_str()).copied(),
            Asked::Claim(who) => self.claims.get(who.as_str())?.first().copied(),
            Asked::Consume(held) => {
                end(held).filter(|end| matches!(end.what, What::Consumed { .. }))
            }
            Asked::Trash(held) => end(held).filter(|end| matches!(end.what, What::Trashed { .. })),
            Asked::Abandon(held) | Asked::Release(held) => end(held),
            Asked::Restore { job, trashed } => self.restores.get(&(*job, *trashed)).copied(),
            Asked::TrashUnclaimed(by) => self.discards.get(by.as_str()).copied(),
        }
    }

    /// The number of the job that a call is about, if any job is known to be.
    pub(super) fn number_of(&self, asked: &Asked) -> Option<u64> {
        match asked {
            Asked::Consume(held)
            | Asked::Abandon(held)
            | Asked::Trash(held)
            | Asked::Release(held) => self.history.number_of(held.job),
            Asked::Restore { job, .. } => self.history.number_of(*job),
            Asked::Post(_) | Asked::Claim(_) | Asked::TrashUnclaimed(_) => {
                Some(self.found(asked)?.number)
            }
        }
    }

    /// I4, for restoring: a job was restored by one who was not told that it failed, and by one only.
    fn restored_once(&self, calls: &[Call]) -> Result<(), Violation> {
        let mut restores = BTreeMap::<_, Vec<_>>::new();
        for call in calls {
            if let Asked::Restore { job, trashed } = call.asked {
                restores.entry((job, trashed)).or_default().push(call);
            }
        }
        for (which, calls) in restores {
            let Some(change) = self.restores.get(&which) else {
                continue;
            };
            let failed = |call: &&Call| matches!(call.ended, Some((_, Answer::Failed(_))));
            let done = |call: &&&Call| matches!(call.ended, Some((_, Answer::Done(_))));
            let why = if calls.iter().all(failed) {
                "what failed happened"
            } else if calls.iter().filter(done).count() > 1 {
                "what happened once succeeded twice"
            } else {
                continue;
            };
            let asked: Vec<_> = calls.iter().map(ToString::to_string).collect();
            let why = format!("{why} at {}: {}", change.revision, asked.join("; "));
            return Err(Violation::new(Promise::Definite, Some(change.number), why));
        }
        Ok(())
    }

    /// I3: nothing was consumed or trashed but by who was asked to, and nobody claimed twice by one call.
    fn asked_for(&self, noted: &Noted) -> Result<(), Violation> {
        let (mut consumes, mut trashes, mut claims) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for call in &noted.calls {
            match &call.asked {
                Asked::Consume(held) => _ = consumes.insert(*held),
                Asked::Trash(held) => _ = trashes.insert(*held),
                Asked::Claim(who) => _ = claims.insert(who.as_str()),
                _ => {}
            }
        }
        let logged: BTreeSet<_> = self
            .claims
            .iter()
            .filter(|(who, _)| claims.contains(*who))
            .flat_map(|(_, changes)| changes)
            .map(|change| change.held(change.revision))
            .collect();
        // Conductors ask for their claims themselves.
        let believed: BTreeSet<_> = noted.beliefs.iter().map(|belief| belief.held).collect();
        for (held, end) in &self.ends {
            let (how, asked) = match end.what {
                What::Consumed { .. } if logged.contains(held) || believed.contains(held) => {
                    ("consumed", &consumes)
                }
                // Conductors trash by themselves too.
                What::Trashed { .. } if logged.contains(held) && !self.history.beside_taskflow => {
                    ("trashed", &trashes)
                }
                _ => continue,
            };
            if !asked.contains(held) {
                let token = held.token;
                let why = format!("it was {how} with token {token}, and nobody asked for that");
                return Err(Violation::new(Promise::Fenced, Some(end.number), why));
            }
        }
        for (who, changes) in &self.claims {
            if let ([_, again, ..], true) = (changes.as_slice(), claims.contains(who)) {
                let why = format!("one claim by {who} happened twice");
                return Err(Violation::new(Promise::Definite, Some(again.number), why));
            }
        }
        Ok(())
    }

    /// I4: who asks after another was answered comes after it. Who is told that it lost its claim may have
    /// changed something before, and nothing since.
    fn order(&self, calls: &[Call]) -> Result<(), Violation> {
        // An owner's key can have gone before it was given back, and another can have restored the job
        // since.
        let done = calls
            .iter()
            .filter_map(|call| match (&call.ended, &call.asked) {
                (_, Asked::Abandon(_) | Asked::Release(_))
                | (Some((_, Answer::Unsure(_))), Asked::Restore { .. }) => None,
                (Some((ended, Answer::Done(_) | Answer::Unsure(ErrorKind::Lost))), asked) => {
                    Some((call, *ended, self.found(asked)?))
                }
                _ => None,
            });
        let mut moments: Vec<(u64, bool, &Change)> = Vec::new();
        for (call, ended, change) in done {
            moments.push((call.begun, true, change));
            moments.push((ended, false, change));
        }
        moments.sort_by_key(|(moment, ..)| *moment);
        let mut newest = Revision::ZERO;
        for (_, begins, change) in moments {
            if !begins {
                newest = newest.max(change.revision);
            } else if change.revision <= newest {
                let why = format!(
                    "it happened at {}, and was asked for after {newest}",
                    change.revision
                );
                return Err(Violation::new(Promise::Definite, Some(change.number), why));
            }
        }
        Ok(())
    }

    /// I2: who waited for a job was told how it ended, or has ended since it was restored.
    fn ends(&self, told: &[ToldEnd]) -> Result<(), Violation> {
        let mut ends = BTreeSet::new();
        for change in &self.history.changes {
            match change.what {
                What::Consumed { .. } => _ = ends.insert((change.uuid, false)),
                What::Trashed { .. } => _ = ends.insert((change.uuid, true)),
                _ => {}
            }
        }
        for ToldEnd {
            client,
            job,
            trashed,
        } in told
        {
            if !ends.contains(&(*job, *trashed)) {
                let how = if *trashed { "trashed" } else { "consumed" };
                let why = format!("{client} was told that {job} was {how}, and it was not");
                let number = self.history.number_of(*job);
                return Err(Violation::new(Promise::Kept, number, why));
            }
        }
        Ok(())
    }

    /// I7: no two believe in one job at the same time, unless the first is excused.
    fn one_belief(&self, beliefs: &[Belief], excused: &BTreeSet<String>) -> Result<(), Violation> {
        let mut jobs = BTreeMap::<Uuid, Vec<&Belief>>::new();
        for belief in beliefs {
            jobs.entry(belief.held.job).or_default().push(belief);
        }
        for (job, mut beliefs) in jobs {
            beliefs.sort_by_key(|belief| belief.from);
            for two in beliefs.windows(2) {
                let [first, second] = two else { continue };
                let overlap = first.until.is_none_or(|until| until > second.from);
                if overlap && !excused.contains(&first.client) {
                    let (one, other) = (first.held.token, second.held.token);
                    let then = second.from.saturating_sub(first.from);
                    let on = first.until.map(|until| until.saturating_sub(second.from));
                    let on = on.map_or("until the end".to_owned(), |on| format!("for {on:?}"));
                    let why = format!(
                        "the owner with token {one} believed that it owned {job}, that with token {other} did so \
                     too {then:?} later, and the first went on {on}"
                    );
                    let number = self.history.number_of(job);
                    return Err(Violation::new(Promise::OneBelief, number, why));
                }
            }
        }
        Ok(())
    }
}

impl Change {
    fn held(&self, token: Revision) -> Held {
        let job = self.uuid;
        Held { job, token }
    }
}
