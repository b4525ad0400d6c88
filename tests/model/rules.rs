//! The rules of the protocol, each of which can be left out to see what it is for.

/// A rule, and what goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Every write compares the session's guard with the revision at which it was put last.
    ///
    /// Without it the fence stops nobody. A post is late, the fence shows that it has not happened,
    /// and it is sent again. Both arrive; if the job is claimed and consumed in between, the second
    /// one brings it back.
    GuardInEachWrite,

    /// A lost answer is settled by putting the guard anew, and reading.
    ///
    /// Reading alone shows what was true at that instant. A request that is still on its way changes
    /// it afterwards, and the caller was told otherwise.
    FenceBeforeReading,

    /// Reads that do not ride in the fence compare the guard too.
    ///
    /// Otherwise the session can end between the two. Its claim is gone then, another process claims
    /// and consumes the job, and what is read (no claim, no job) looks as if our own consume had
    /// done that.
    GuardInEachRead,

    /// An envelope that posts leaves a receipt.
    ///
    /// Without it, a job that was posted, claimed and consumed before its poster looks is not to be
    /// told from one that never was. It is posted again, and comes back.
    ReceiptOfPost,

    /// An envelope that restores leaves a receipt too.
    ///
    /// Without it, a job that is on the board again does not tell who restored it. The restore is
    /// tried once more and refused, and a caller whose restore was made is told that it was not.
    ReceiptOfRestore,

    /// A member that was refused in an envelope of many leaves a note.
    ///
    /// Without it, the receipt of the envelope speaks for all its members, and a poster whose unique
    /// key was held by another job is told that it posted.
    NoteOfRefused,

    /// A session has one verb under way for each job.
    ///
    /// With two, the abandon of a claim that was given up can happen, another process can claim and
    /// consume the job, and the consume whose answer was lost takes that for its own work.
    OneVerbForEachJob,

    /// An owner key is on the lease of the session whose guard is compared.
    ///
    /// A claim with a lease of its own on the same guard can end while the guard stands. Another
    /// process consumes the job, and a lost consume takes that for its own work.
    ClaimOnLeaseOfGuard,

    /// A process that doubts its session revokes the lease before it tells `Lost`.
    ///
    /// Otherwise the lease lives on in etcd, and what is still on its way happens after its caller
    /// was told that the job is not his.
    RevokeBeforeLost,

    /// An owner key that carries our session is given back only if no claim of it is pending.
    ///
    /// The view of the board can be faster than the answer of the claim. Whoever gives back what he
    /// does not know yet takes the job from himself, and is then told that he holds it.
    PendingClaimsAreKnown,

    /// A claim is lost from the start if its owner key was seen to end before its answer came.
    ///
    /// The view tells an end once. Whoever does not keep it for the answer goes on as an owner, and
    /// nothing will ever tell him that he is none.
    EndsAreKeptForTheAnswer,

    /// A restore compares the unique key.
    ///
    /// While a job lies in the trash, another can be posted under its key. Both would be on the
    /// board.
    UniqueKeyInRestore,

    /// A forced release leaves a mark for the session that held the claim.
    ///
    /// Without it, a session that lives on can not tell a job that it consumed from one that was
    /// taken from it, and that somebody else consumed.
    MarkOfRelease,

    /// A claim compares the create revision of the posting.
    ///
    /// Without it, a claim that arrives after the job was consumed or trashed makes an owner of
    /// nothing.
    PostingInClaim,

    /// What ends a claim compares the owner key's create revision: the token.
    ///
    /// Without it, who was released by force settles the job all the same, whoever owns it by then.
    TokenInEachSettling,
}

/// All rules of the protocol, but for one at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) without: Option<Rule>,
}

impl Rules {
    pub(crate) fn keep(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
