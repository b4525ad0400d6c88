//! Sessions of a claim's own.

use super::*;
use crate::{
    protocol::{claim::ClaimRefusal, offer::NotOffered},
    store::{Key, KeyRange},
};

const TTL: Duration = Duration::from_mins(1);
/// That without the margin.
const TRUST: Duration = Duration::from_secs(54);

struct Stage {
    board: Bundle,
    pool: Pool,
    posted: Revision,
}

/// A board with a job, and a pool without sessions.
async fn setup() -> Stage {
    let board = super::setup().await;
    assert!(board.session.close(deadline()).await);
    let pool = Pool::new(board.parts.clone());
    let post = Post::new(&board.keys, board.job, &board.posting);
    let posted = pool.write(post, deadline()).await.unwrap().unwrap();
    Stage {
        board,
        pool,
        posted,
    }
}

impl Stage {
    async fn claim(&self, renewal: Renewal) -> Result<Held, ClaimRefusal> {
        let terms = LeaseTerms { ttl: TTL, renewal };
        let place = self.pool.place_to_claim(Some(terms), deadline()).await;
        let seen = SeenState::read(self.board.part(JobPart::State).await.as_ref()).unwrap();
        let request = ClaimRequest {
            job: self.board.job,
            posted: self.posted,
            seen: &seen,
            who: "worker-3",
            now: DateTime::UNIX_EPOCH,
        };
        place.unwrap().claim(&request, deadline()).await.unwrap()
    }

    async fn claim_by_hand(&self) -> Held {
        self.claim(Renewal::ByHand).await.unwrap()
    }

    async fn consume(&self, held: &Held) {
        let hold = held.hold();
        let verb = |keys: &Keyspace, guard: &Guard| Consume::new(keys, guard, hold, None);
        let settled = held.session().settle(&hold, verb, deadline()).await;
        settled.unwrap().unwrap();
    }

    /// Whether a session of the pool is shared by all.
    async fn shared(&self) -> Arc<Session> {
        self.pool.session(deadline()).await.unwrap()
    }

    /// Waits until there is no session but the shared one, nor anything left of another.
    async fn until_it_is_alone(&self) {
        let shared = self.shared().await;
        let others = self.pool.all();
        for other in others.iter().filter(|other| other.id() != shared.id()) {
            timeout_at(deadline(), other.lost().cancelled())
                .await
                .expect("it lives on");
            other.tasks.close();
            other.tasks.wait().await;
        }
        self.shared().await;
        assert_eq!(self.pool.all().len(), 1);
        let all = KeyRange::prefix(Key::new("/taskflow/.sessions/jobboard/").unwrap());
        let left = self.board.store.memory.range(RangeRequest::new(all)).await;
        let is_of_another =
            |kv: &store::KeyValue| !kv.key.to_string().contains(&shared.id().to_string());
        assert!(!left.unwrap().kvs.iter().any(is_of_another));
    }

    async fn owner(&self) -> Option<store::KeyValue> {
        self.board.part(JobPart::Owner).await
    }
}

#[tokio::test(start_paused = true)]
async fn own_session_ends_when_its_claim_is_settled() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    assert_ne!(held.session().id(), stage.shared().await.id());
    stage.consume(&held).await;
    stage.until_it_is_alone().await;
    assert_eq!(held.expires_in(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn own_session_ends_when_its_claim_is_dropped_which_burns_no_attempt() {
    let stage = setup().await;
    drop(stage.claim_by_hand().await);
    stage.until_it_is_alone().await;
    assert_eq!(stage.owner().await, None);
    assert_eq!(stage.board.state().await.attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn own_session_ends_when_its_claim_is_refused() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    let refused = stage.claim(Renewal::ByHand).await.unwrap_err();
    assert!(
        matches!(refused, ClaimRefusal::NotOffered(NotOffered::Owned(_))),
        "{refused:?}"
    );
    stage.consume(&held).await;
    stage.until_it_is_alone().await;
}

#[tokio::test(start_paused = true)]
async fn own_session_ends_when_its_claim_is_seen_to_end() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    let gone = Sighting {
        at: held.hold().token.next(),
        owner: None,
    };
    held.session().see(stage.board.job, gone);
    assert!(held.lost().is_cancelled());
    stage.until_it_is_alone().await;
}

#[tokio::test(start_paused = true)]
async fn own_session_ends_when_the_call_is_dropped() {
    // Before the claim is sent, while it is under way, and before it is answered.
    for steps in 0..20 {
        let stage = setup().await;
        {
            let mut claiming = Box::pin(stage.claim(Renewal::BySession));
            for _ in 0..steps {
                if futures::poll!(&mut claiming).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        stage.until_it_is_alone().await;
        assert_eq!(stage.owner().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn claim_that_is_renewed_by_hand_lives_beyond_its_ttl() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    assert_eq!(held.expires_in(), TRUST);
    for _ in 0..5 {
        tokio::time::sleep(TRUST.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(held.expires_in(), Duration::from_secs(1));
        held.renew(deadline()).await.unwrap().unwrap();
        assert_eq!(held.expires_in(), TRUST);
    }
    assert!(held.is_held());
    stage.consume(&held).await;
}

#[tokio::test(start_paused = true)]
async fn claim_that_is_not_renewed_by_hand_is_lost_when_trust_ends() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    let claimed = Instant::now();
    let lost = timeout_at(claimed + TTL, held.lost().cancelled()).await;
    assert!(lost.is_ok(), "it is still held");
    assert_eq!(claimed.elapsed(), TRUST);
    assert_eq!(held.expires_in(), Duration::ZERO);
    held.renew(deadline()).await.unwrap().unwrap_err();
    stage.until_it_is_alone().await;
    assert_eq!(stage.owner().await, None);
}

#[tokio::test(start_paused = true)]
async fn claim_that_its_session_keeps_alive_lives_beyond_its_ttl() {
    let stage = setup().await;
    let held = stage.claim(Renewal::BySession).await.unwrap();
    tokio::time::sleep(5 * TTL).await;
    assert!(held.is_held());
    assert!(held.expires_in() + TTL / 3 >= TRUST);
    held.renew(deadline()).await.unwrap().unwrap();
    assert_eq!(held.expires_in(), TRUST);
}

#[tokio::test(start_paused = true)]
async fn loss_of_an_own_session_touches_no_other() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    let shared = stage.shared().await;
    let memory = &stage.board.store.memory;
    memory.revoke(held.session().guard.lease()).await.unwrap();
    held.renew(deadline()).await.unwrap().unwrap_err();
    assert!(held.lost().is_cancelled());

    let another = stage.claim_by_hand().await;
    tokio::time::sleep(TTL / 2).await;
    assert!(another.is_held() && shared.is_trusted());
    stage.consume(&another).await;
}

#[tokio::test(start_paused = true)]
async fn renewal_without_an_answer_ends_in_time_and_the_claim_stands() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    *stage.board.store.mute.lock().unwrap() = true;
    let asked = Instant::now();
    let error = held.renew(deadline()).await.unwrap_err();
    assert!(matches!(error, WriteError::Unreached(_)), "{error:?}");
    assert_eq!(asked.elapsed(), Duration::from_secs(10));
    assert_eq!(held.expires_in() + asked.elapsed(), TRUST);
    stage.consume(&held).await;
}

#[tokio::test(start_paused = true)]
async fn closed_pool_gives_back_what_its_own_sessions_held() {
    let stage = setup().await;
    let held = stage.claim_by_hand().await;
    stage.pool.close(deadline()).await;
    assert!(held.lost().is_cancelled());
    assert_eq!(stage.owner().await, None);
    assert_eq!(stage.board.state().await.attempts, 0);
    assert!(stage.pool.place_to_claim(None, deadline()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nobody_else_writes_in_an_own_session() {
    let stage = setup().await;
    let held = stage.claim(Renewal::BySession).await.unwrap();
    // Not even where it is the only one that lives.
    stage.shared().await.life.lose(Loss::OtherStore);
    assert_ne!(stage.shared().await.id(), held.session().id());
    assert!(stage.pool.find(held.session().id()).is_some());
    stage.consume(&held).await;
}
