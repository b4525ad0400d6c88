//! Keeps a copy of a range of the store up to date: a list, then a watch from there on.
//!
//! ```text
//!          begin            all pages           accepted
//!   Empty ───────▶ Listing ───────────▶ Listed ──────────▶ Watching ─┐ a batch: apply whole
//!     ▲               │ ▲                 ▲                    │   ▲─┘ revisions, in order
//!     │   compacted   │ └─ page failed    └─ broken, silent ───┤
//!     └───────────────┴─── compacted, other history, asked for ┘
//! ```
//!
//! What it trusts: a watch tells whole revisions in order and misses none, until it breaks; then it
//! is opened again after the last revision that was *applied*, never after one that a header tells
//! of. What it does not trust: that a watch begins where it was asked to (what was applied already
//! is dropped, and counted), that a silent one is alive (see [`silence`](super::silence)), and that
//! the store is still the same: another cluster's id, or a list older than what was applied, means
//! another history, which is listed from scratch and told as such.
//!
//! Each failure is followed by a wait that grows; see [`Backoff`]. It is reset by a watch that
//! lived for [`HEALTHY`].

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    change::Origin,
    link::{Counters, FeedEnd},
    retry::Backoff,
    silence::{Place, Silence, Verdict},
};
use crate::{
    random::Random,
    store::{
        Error, ErrorKind, Event, KeyRange, KeyValue, Pager, Revision, Store, WatchBatch,
        WatchRequest, WatchStream,
    },
};

/// How many keys are read at once.
const PAGE: usize = 500;

/// The largest page that is tried where the store is compacted faster than it can be listed.
const LARGEST_PAGE: usize = 1 << 20;

/// How long a watch has to live for the next failure to be the first again.
pub(super) const HEALTHY: Duration = Duration::from_secs(30);

/// Keeps what a feed reads. Every call is one step that readers see whole or not at all.
pub(super) trait Sink: Send + 'static {
    /// A list begins. One that was not completed is void.
    fn list_begins(&mut self);

    /// The list goes on with these keys.
    fn page(&mut self, kvs: Vec<KeyValue>);

    /// The list is complete, and shows the revision `at`: it takes the place of what was kept.
    fn list_complete(&mut self, at: Revision, origin: Origin);

    /// All changes of the next revision.
    fn revision(&mut self, revision: Revision, events: &[Event]);
}

/// What keeps a [`Sink`] up to date.
pub(super) struct Feed<S> {
    store: Arc<dyn Store>,
    range: KeyRange,
    sink: S,
    end: FeedEnd,
    random: Random,
    backoff: Backoff,
    page: usize,
    place: Option<Place>,
    /// The newest request for a list that was answered.
    covered: u64,
    /// Whether the last watch was given up for its silence, and nothing came since.
    stalled: bool,
}

enum State {
    Empty,
    Listing(Listing),
    Listed,
    Watching(Watching),
}

struct Listing {
    pager: Pager,
    found: Option<Place>,
    covers: u64,
}

struct Watching {
    stream: WatchStream,
    since: Instant,
    silence: Silence,
}

/// A step that failed, and the state to go on from.
struct Failed {
    error: Error,
    next: State,
}

impl Failed {
    fn new(error: Error, next: State) -> Box<Self> {
        Box::new(Self { error, next })
    }
}

type Step = Result<State, Box<Failed>>;

impl<S: Sink> Feed<S> {
    pub(super) fn new(
        store: Arc<dyn Store>,
        range: KeyRange,
        random: Random,
        sink: S,
        end: FeedEnd,
    ) -> Self {
        Self {
            store,
            range,
            sink,
            end,
            backoff: Backoff::new(random.clone()),
            random,
            page: PAGE,
            place: None,
            covered: 0,
            stalled: false,
        }
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let mut state = State::Empty;
            loop {
                tokio::task::consume_budget().await;
                state = match self.step(state).await {
                    Ok(next) => next,
                    Err(failed) => self.recover(*failed).await,
                };
            }
        })
        .await;
    }

    async fn step(&mut self, state: State) -> Step {
        match state {
            State::Empty => Ok(self.begin_list()),
            State::Listing(listing) => self.next_page(listing).await,
            State::Listed => self.open_watch().await,
            State::Watching(watching) => self.next_batch(watching).await,
        }
    }

    /// Waits before the next try. A list that was refused is tried again as soon as somebody asks for it.
    async fn recover(&mut self, failed: Failed) -> State {
        let Failed { error, next } = failed;
        let denied = error.kind() == ErrorKind::Denied;
        let delay = if denied {
            self.backoff.next_denied()
        } else {
            self.backoff.next()
        };
        // A list that was refused answers who asked before it began; the next one begins anew.
        let (asked, next) = match next {
            State::Listing(refused) if denied => (refused.covers, State::Empty),
            next => (self.end.wanted(), next),
        };
        let (range, text) = (&self.range, error.to_string());
        if self.end.troubled(error, asked) {
            tracing::warn!(?range, error = text, ?delay, "lost sight of the store");
        } else {
            tracing::debug!(?range, error = text, ?delay, "still no sight of the store");
        }
        tokio::select! {
            biased;
            () = sleep(delay) => {}
            () = self.end.list_wanted(asked), if denied => {}
        }
        next
    }

    fn begin_list(&mut self) -> State {
        let covers = self.end.wanted();
        self.sink.list_begins();
        State::Listing(Listing {
            pager: Pager::new(self.range.clone(), self.page),
            found: None,
            covers,
        })
    }

    async fn next_page(&mut self, mut listing: Listing) -> Step {
        let page = match listing.pager.next(&*self.store).await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(self.complete_list(&listing)),
            Err(error) if error.kind() == ErrorKind::Compacted => {
                self.page = (self.page * 2).min(LARGEST_PAGE);
                return Err(Failed::new(error, State::Empty));
            }
            Err(error) => return Err(Failed::new(error, State::Listing(listing))),
        };
        let found = listing.found.get_or_insert(Place {
            cluster_id: page.header.cluster_id,
            applied: page.at,
            keys: 0,
        });
        if page.header.cluster_id != found.cluster_id {
            return Err(Failed::new(other_cluster(), State::Empty));
        }
        found.keys += page.kvs.len();
        self.sink.page(page.kvs);
        Ok(State::Listing(listing))
    }

    fn complete_list(&mut self, listing: &Listing) -> State {
        let Some(found) = listing.found else {
            return State::Empty;
        };
        let origin = match self.place {
            None => Origin::First,
            Some(place) if place.cluster_id != found.cluster_id => Origin::OtherHistory,
            Some(place) if place.applied > found.applied => Origin::OtherHistory,
            Some(_) => Origin::Relisted,
        };
        self.sink.list_complete(found.applied, origin);
        self.end.listed(found.applied, origin, listing.covers);
        self.place = Some(found);
        self.covered = listing.covers;
        self.page = PAGE;
        self.stalled = false;
        State::Listed
    }

    async fn open_watch(&mut self) -> Step {
        let Some(place) = self.place.filter(|_| self.end.wanted() <= self.covered) else {
            return Ok(State::Empty);
        };
        let request = WatchRequest::new(self.range.clone(), place.applied.next());
        match self.store.watch(request).await {
            Ok(stream) => {
                self.backoff.allowed();
                if let Some(trouble) = self.end.connected() {
                    let (range, after) = (&self.range, trouble.since.elapsed());
                    tracing::info!(?range, ?after, "see the store again");
                }
                Ok(State::Watching(Watching {
                    stream,
                    since: Instant::now(),
                    silence: Silence::new(place.applied, &self.random),
                }))
            }
            Err(error) => Err(relist_if_untold(Failed::new(error, State::Listed))),
        }
    }

    async fn next_batch(&mut self, mut watching: Watching) -> Step {
        let Some(place) = self.place else {
            return Ok(State::Empty);
        };
        let silence = &mut watching.silence;
        tokio::select! {
            biased;
            () = self.end.list_wanted(self.covered) => Ok(State::Empty),
            batch = watching.stream.next() => match batch {
                Some(Ok(batch)) => self.take(&batch, place, watching),
                Some(Err(error)) => Err(self.lose(watching.since, error)),
                None => Err(self.lose(watching.since, unavailable("the watch ended"))),
            },
            verdict = silence.go_on(&self.store, &self.range, place, &self.random) => match verdict {
                Ok(Verdict::Wait) => Ok(State::Watching(watching)),
                Ok(Verdict::Stalled) => Err(self.give_up(watching.since)),
                Ok(Verdict::OtherHistory) => Ok(State::Empty),
                Err(error) => Err(self.lose(watching.since, error)),
            },
        }
    }

    /// Applies a batch, revision by revision.
    fn take(&mut self, batch: &WatchBatch, mut place: Place, mut watching: Watching) -> Step {
        if batch.header.cluster_id != place.cluster_id {
            return Err(Failed::new(other_cluster(), State::Empty));
        }
        for events in batch.events.chunk_by(|a, b| a.revision() == b.revision()) {
            let revision = events.first().map_or(Revision::ZERO, Event::revision);
            if revision <= place.applied {
                Counters::add(&self.end.counters().dropped_events, events.len());
                continue;
            }
            place.applied = revision;
            place.keys = events.iter().fold(place.keys, count);
            self.place = Some(place);
            self.stalled = false;
            self.sink.revision(revision, events);
            self.end.applied(revision);
        }
        watching.silence = Silence::new(place.applied, &self.random);
        Ok(State::Watching(watching))
    }

    /// The watch broke.
    fn lose(&mut self, since: Instant, error: Error) -> Box<Failed> {
        Counters::add(&self.end.counters().reopened, 1);
        if since.elapsed() >= HEALTHY {
            self.backoff.reset();
        }
        relist_if_untold(Failed::new(error, State::Listed))
    }

    /// The watch is silent although the range changed; if it was opened anew for that already, the
    /// range is listed.
    fn give_up(&mut self, since: Instant) -> Box<Failed> {
        let again = std::mem::replace(&mut self.stalled, true);
        let silent = unavailable("the watch is silent although its range changed");
        let mut failed = self.lose(since, silent);
        if again {
            failed.next = State::Empty;
        }
        failed
    }
}

/// What no watch can tell any more, a list shows: what was compacted, and what is so much that one answer
/// of the watch, which is of many revisions where it catches up, is larger than what is taken.
fn relist_if_untold(mut failed: Box<Failed>) -> Box<Failed> {
    if matches!(
        failed.error.kind(),
        ErrorKind::Compacted | ErrorKind::TooLarge
    ) {
        failed.next = State::Empty;
    }
    failed
}

/// How many keys there are after an event.
fn count(keys: usize, event: &Event) -> usize {
    match event {
        Event::Put(kv) if kv.version == 1 => keys.saturating_add(1),
        Event::Put(_) => keys,
        Event::Delete { .. } => keys.saturating_sub(1),
    }
}

fn unavailable(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, why)
}

fn other_cluster() -> Error {
    unavailable("another cluster answered")
}

#[cfg(test)]
mod tests;
