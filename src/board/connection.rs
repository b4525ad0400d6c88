//! What a connected board has: its view, the sessions it writes in, and the wire between them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    entities::Registrar, failure, fresh::Barriers, lock, notifier::Hub, numbers::Numbers,
    results::Results,
};
use crate::{
    cache::{
        Applied, Cache, Change, ChangeKind, EntityCache, Holder, Origin, OwnerChange, PauseCache,
        Reader, Timing, TrashWatch, Unlisted,
    },
    clock::Clock,
    error::{Error, ErrorKind, Result},
    protocol::keys::{JobId, Keyspace},
    random::Random,
    session::{Loss, Parts, Pool, Sighting},
    store::{Revision, Store},
};

/// How long no barrier is tried after etcd refused one to the user: what a list costs in its place is less
/// than what a session does that can not be opened.
const REFUSED: Duration = Duration::from_mins(1);

/// A connection of a board. `cache` and `session` know nothing of each other: this feeds what the
/// one sees of owner keys to the other.
pub(super) struct Connection {
    cache: Cache,
    pool: Arc<Pool>,
    numbers: Numbers,
    results: Arc<Results>,
    barriers: Barriers,
    registrar: Registrar,
    /// Kept from when somebody first asks for the entities.
    entities: OnceLock<EntityCache>,
    /// Kept from when somebody first asks whether the board is paused.
    pauses: OnceLock<PauseCache>,
    /// What these views are made of.
    parts: Parts,
    /// What takes numbers, grants leases for results, writes barriers, follows the trash, calls back and
    /// tells kept progress.
    tasks: TaskTracker,
    /// Fires when the connection is over and all is told that it saw.
    over: DropGuard,
    /// Whether nothing is to be written.
    read_only: bool,
    /// When a barrier may be tried again, since etcd refused one.
    barriers_from: Mutex<Option<Instant>>,
}

impl Connection {
    /// Opens a connection that hands what it sees to `hub`. If there was an `earlier` view, its
    /// first list is told by the differences to that. Must be called inside a tokio runtime.
    pub(super) fn open(
        parts: Parts,
        clock: Clock,
        read_only: bool,
        hub: &Arc<Hub>,
        earlier: Option<&Reader>,
    ) -> Self {
        let Parts {
            store,
            keys,
            random,
            settings,
        } = parts.clone();
        let tasks = TaskTracker::new();
        let over = CancellationToken::new();
        tasks.spawn(follow_trash(parts.clone(), Arc::clone(hub), over.clone()));
        let pool = Arc::new(Pool::new(parts.clone()));
        let (sessions, listeners) = (Arc::clone(&pool), Arc::clone(hub));
        let observer = move |applied: &Applied<'_>| {
            tell_sessions(&sessions, applied);
            listeners.jobs(applied);
        };
        let chance = (random.clone(), Timing::new(clock, random.clone()));
        Self {
            cache: Cache::start(store, keys.clone(), chance, earlier, observer),
            registrar: Registrar::start(Arc::clone(&pool), random, settings.deadline),
            barriers: Barriers::new(Arc::clone(&pool), &keys, settings.deadline, tasks.clone()),
            numbers: Numbers::new(keys, Arc::clone(&pool), tasks.clone()),
            results: Arc::new(Results::new(parts.clone(), tasks.clone())),
            entities: OnceLock::new(),
            pauses: OnceLock::new(),
            parts,
            pool,
            tasks,
            over: over.drop_guard(),
            read_only,
            barriers_from: Mutex::default(),
        }
    }

    pub(super) async fn close(&self, deadline: Instant) {
        self.registrar.close().await;
        self.pool.close(deadline).await;
        self.cache.close().await;
        if let Some(entities) = self.entities.get() {
            entities.close().await;
        }
        if let Some(pauses) = self.pauses.get() {
            pauses.close().await;
        }
        self.over().cancel();
        self.tasks.close();
        _ = timeout_at(deadline, self.tasks.wait()).await;
    }

    /// Fires when the connection is over and all is told that it saw.
    pub(super) fn over(&self) -> &CancellationToken {
        self.over.token()
    }

    /// Runs a task that the connection's end waits for; it must end when that
    /// [comes](Self::over).
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// What the connection's end waits for.
    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) const fn reader(&self) -> &Reader {
        self.cache.reader()
    }

    pub(super) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(super) const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(super) const fn results(&self) -> &Arc<Results> {
        &self.results
    }

    pub(super) const fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// The view of the entities, and whether this call is the one that started it.
    pub(super) fn entities(&self) -> (&EntityCache, bool) {
        self.view(&self.entities, EntityCache::start)
    }

    /// The view of whether the board is paused, and whether this call is the one that started it.
    pub(super) fn pauses(&self) -> (&PauseCache, bool) {
        self.view(&self.pauses, |store, keys, random| {
            PauseCache::start(store, &keys, random)
        })
    }

    /// Lets the view of pauses, if there is one, come up to a pause that a claim met: else who waits
    /// for a job would be given that one again at once.
    pub(super) async fn see_pause(&self, deadline: Instant) {
        if let Some(pauses) = self.pauses.get().map(PauseCache::reader)
            && !pauses.is_paused()
        {
            _ = timeout_at(deadline, pauses.relist()).await;
        }
    }

    fn view<'view, T>(
        &self,
        view: &'view OnceLock<T>,
        start: impl FnOnce(Arc<dyn Store>, Keyspace, Random) -> T,
    ) -> (&'view T, bool) {
        let mut started = false;
        let view = view.get_or_init(|| {
            started = true;
            let Parts {
                store,
                keys,
                random,
                ..
            } = self.parts.clone();
            start(store, keys, random)
        });
        (view, started)
    }

    /// Waits until the view shows all that was written before this call.
    ///
    /// Who may write puts the barrier and waits for its revision; who may only read has the board
    /// listed again.
    pub(super) async fn refresh(&self, deadline: Instant) -> Result<()> {
        const DOING: &str = "ask for a fresh view of the board";
        if self.may_write_barriers() && !self.reader().is_denied() {
            match self.barriers.revision(deadline).await {
                Ok(revision) => return self.wait_applied(revision, DOING, deadline).await,
                Err(error) => match failure::of_write(DOING, error) {
                    denied if denied.kind() == ErrorKind::Denied => {
                        *lock(&self.barriers_from) = Some(Instant::now() + REFUSED);
                    }
                    // Whether the barrier was written matters to nobody.
                    error => return Err(error.if_unknown_nothing_happened()),
                },
            }
        }
        within(deadline, self.reader().relist(), DOING).await
    }

    /// Whether there is a point in trying.
    fn may_write_barriers(&self) -> bool {
        let from = *lock(&self.barriers_from);
        !self.read_only && from.is_none_or(|from| from <= Instant::now())
    }

    /// Waits until the view shows `revision`.
    pub(super) async fn wait_applied(
        &self,
        revision: Revision,
        doing: &str,
        deadline: Instant,
    ) -> Result<()> {
        within(deadline, self.reader().wait_applied(revision), doing).await
    }
}

async fn within(
    deadline: Instant,
    view: impl Future<Output = Result<(), impl Into<Unlisted>>>,
    doing: &str,
) -> Result<()> {
    match timeout_at(deadline, view).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(unlisted)) => Err(unlisted.into().while_doing(doing)),
        Err(_late) => {
            let why = "the view of the board did not come up to date in time";
            Err(Error::new(ErrorKind::Unavailable, doing, why))
        }
    }
}

/// Follows the trash once somebody listens for it, until `over` fires.
async fn follow_trash(parts: Parts, hub: Arc<Hub>, over: CancellationToken) {
    let Some(after) = over.run_until_cancelled(hub.trash_wanted()).await else {
        return;
    };
    let Parts {
        store,
        keys,
        random,
        ..
    } = parts;
    let observer = move |at, trashed| hub.trash(at, trashed);
    let trash = TrashWatch::start(store, keys, random, after, observer);
    over.cancelled().await;
    trash.close().await;
}

/// Hands what the view shows of owner keys to the sessions, who hold the claims.
fn tell_sessions(pool: &Pool, applied: &Applied<'_>) {
    if applied.origin == Origin::OtherHistory {
        return pool.lose(Loss::OtherStore);
    }
    let sightings: Vec<_> = applied.owners.iter().map(sighting).collect();
    // A list names every job that has an owner: all others have none.
    let listed = (applied.origin != Origin::Watched).then(|| {
        sightings
            .iter()
            .map(|(job, _)| *job)
            .collect::<BTreeSet<_>>()
    });
    let nobody = Sighting {
        at: applied.revision,
        owner: None,
    };
    let stops = |change: &&Change| change.kind == ChangeKind::CancelRequested;
    for session in pool.all() {
        for change in applied.changes.iter().filter(stops) {
            session.stop(change.job());
        }
        for (job, sighting) in &sightings {
            if let Some(stray) = session.see(*job, *sighting) {
                let change = applied
                    .changes
                    .iter()
                    .rev()
                    .find(|it| it.job() == stray.job);
                let state = change.and_then(|change| change.entry.state());
                session.give_back_stray(stray, state.map(|state| &state.record));
            }
        }
        if let Some(listed) = &listed {
            for job in session
                .jobs()
                .into_iter()
                .filter(|job| !listed.contains(job))
            {
                session.see(job, nobody);
            }
        }
    }
}

fn sighting(change: &OwnerChange) -> (JobId, Sighting) {
    let mark = |holder: &Holder| holder.record.as_ref().and_then(|record| record.mark);
    let owner = change
        .holder
        .as_ref()
        .map(|holder| (holder.token, mark(holder)));
    (
        change.job,
        Sighting {
            at: change.revision,
            owner,
        },
    )
}
