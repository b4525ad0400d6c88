use super::*;
use crate::protocol::table::{
    ANY,
    Change::{Delete, Put},
    DATA, FENCED, GUARD, Keys, OWNER, RECEIPT, SENT, SINCE, Stage,
};

const GUARD_KEY: &str = "/t/.sessions/b/00000000-0000-0000-0000-000000000001";
const OWNED: Keys = &[(OWNER, SINCE[0])];

/// Puts the posting where there is no owner, and reads the owner where there is one.
fn member() -> Txn {
    Txn::new()
        .when([Compare::absent(key(OWNER))])
        .then([Op::put(key(DATA), ANY)])
        .otherwise([Op::get(key(OWNER))])
}

fn key(name: &'static str) -> Key {
    Key::new(name).unwrap()
}

fn keys(there: Keys) -> Vec<(Key, Revision)> {
    there.iter().map(|(name, put)| (key(name), *put)).collect()
}

fn as_known(_: &Stage) {}

fn own(stage: &Stage) {
    stage.change(&[Put(OWNER, ANY)]);
}

fn fence(stage: &Stage) {
    stage.txn(stage.guard.fence(GUARD, Vec::new()));
}

fn own_and_fence(stage: &Stage) {
    own(stage);
    fence(stage);
}

fn delete(stage: &Stage) {
    stage.change(&[Delete(GUARD_KEY)]);
}

fn put_anew(stage: &Stage) {
    delete(stage);
    stage.txn(stage.guard.open());
}

fn own_and_delete(stage: &Stage) {
    own(stage);
    delete(stage);
}

/// An envelope that is sent in some state of the guard, with a receipt or without.
struct Sealed {
    name: &'static str,
    /// What became of the guard, and whether the member would hold.
    since: fn(&Stage),
    /// Whether the member happened, or why nobody can tell.
    opened: Opened<bool>,
    after: Keys,
    /// The same where the envelope has a receipt.
    after_with_receipt: Keys,
}

const SEALED: [Sealed; 7] = [
    Sealed {
        name: "as known, holds",
        since: as_known,
        opened: Opened::Answer(true),
        after: &[(DATA, SENT)],
        after_with_receipt: &[(RECEIPT, SENT), (DATA, SENT)],
    },
    Sealed {
        name: "as known, does not hold",
        since: own,
        opened: Opened::Answer(false),
        after: OWNED,
        after_with_receipt: OWNED,
    },
    Sealed {
        name: "moved, would hold",
        since: fence,
        opened: Opened::Fenced(SINCE[0]),
        after: &[],
        after_with_receipt: &[],
    },
    Sealed {
        name: "moved, would not hold",
        since: own_and_fence,
        opened: Opened::Fenced(SINCE[1]),
        after: OWNED,
        after_with_receipt: OWNED,
    },
    Sealed {
        name: "put anew",
        since: put_anew,
        opened: Opened::Fenced(SINCE[1]),
        after: &[],
        after_with_receipt: &[],
    },
    Sealed {
        name: "lease gone, would hold",
        since: Stage::revoke,
        opened: Opened::Gone,
        after: &[],
        after_with_receipt: &[],
    },
    Sealed {
        name: "gone, would not hold",
        since: own_and_delete,
        opened: Opened::Gone,
        after: OWNED,
        after_with_receipt: OWNED,
    },
];

impl Sealed {
    /// Sends the envelope, and opens the answer.
    fn open(&self, receipt: bool) -> (Stage, Opened<TxnResponse>) {
        let stage = Stage::new(&[]);
        (self.since)(&stage);
        stage.pass(SENT);
        let slot = receipt.then(|| stage.slot());
        let (envelope, seal) = stage.seal_one(GUARD, slot.as_ref(), member());
        let opened = only(seal.open(stage.txn(envelope)).unwrap());
        (stage, opened)
    }
}

/// The answer of an envelope's only member.
fn only(opened: Opened<Vec<TxnResponse>>) -> Opened<TxnResponse> {
    match opened {
        Opened::Answer(answers) => {
            let [answer] = answers.try_into().unwrap();
            Opened::Answer(answer)
        }
        Opened::Fenced(guard) => Opened::Fenced(guard),
        Opened::Gone => Opened::Gone,
    }
}

fn succeeded(opened: Opened<TxnResponse>) -> Opened<bool> {
    match opened {
        Opened::Answer(answer) => Opened::Answer(answer.succeeded),
        Opened::Fenced(guard) => Opened::Fenced(guard),
        Opened::Gone => Opened::Gone,
    }
}

#[test]
fn member_happens_only_under_the_guard_as_known() {
    for row in SEALED {
        let (stage, opened) = row.open(false);
        assert_eq!(succeeded(opened), row.opened, "{}", row.name);
        assert_eq!(stage.keys_there(), keys(row.after), "{}", row.name);
    }
}

#[test]
fn receipt_is_written_only_with_the_member() {
    for row in SEALED {
        let (stage, opened) = row.open(true);
        assert_eq!(succeeded(opened), row.opened, "{}", row.name);
        assert_eq!(
            stage.keys_there(),
            keys(row.after_with_receipt),
            "{}",
            row.name
        );
    }
}

#[test]
fn member_finds_its_own_answers_and_no_others() {
    let [holds, does_not_hold, ..] = SEALED;
    for receipt in [false, true] {
        let (_, Opened::Answer(answer)) = holds.open(receipt) else {
            panic!("receipt: {receipt}");
        };
        assert_eq!(answer.responses, [OpResponse::Put], "receipt: {receipt}");
        let (_, Opened::Answer(answer)) = does_not_hold.open(receipt) else {
            panic!("receipt: {receipt}");
        };
        let owner = read_of(&answer, 0).unwrap().first().unwrap();
        assert_eq!((&owner.key, answer.responses.len()), (&key(OWNER), 1));
    }
}

/// A fence or a look in some state of the guard.
struct Read {
    name: &'static str,
    since: fn(&Stage),
    /// How many keys each of the two reads finds, or why they prove nothing.
    reads: Opened<[usize; 2]>,
}

const READ: [Read; 5] = [
    Read {
        name: "as known",
        since: own,
        reads: Opened::Answer([1, 0]),
    },
    Read {
        name: "moved",
        since: own_and_fence,
        reads: Opened::Fenced(SINCE[1]),
    },
    Read {
        name: "put anew",
        since: put_anew,
        reads: Opened::Fenced(SINCE[1]),
    },
    Read {
        name: "gone",
        since: own_and_delete,
        reads: Opened::Gone,
    },
    Read {
        name: "lease gone",
        since: Stage::revoke,
        reads: Opened::Gone,
    },
];

fn two_reads() -> Vec<RangeRequest> {
    [OWNER, DATA]
        .map(|name| RangeRequest::new(key(name)))
        .into()
}

fn counts(opened: Opened<Vec<RangeResponse>>) -> Opened<[usize; 2]> {
    match opened {
        Opened::Answer(reads) => Opened::Answer([reads[0].count, reads[1].count]),
        Opened::Fenced(guard) => Opened::Fenced(guard),
        Opened::Gone => Opened::Gone,
    }
}

#[test]
fn look_proves_nothing_under_a_guard_that_is_not_as_known() {
    for row in READ {
        let stage = Stage::new(&[]);
        (row.since)(&stage);
        let before = stage.keys_there();
        let reads = Guard::reads(stage.txn(stage.guard.look(GUARD, two_reads()))).unwrap();
        assert_eq!(counts(reads), row.reads, "{}", row.name);
        assert_eq!(stage.keys_there(), before, "{}", row.name);
    }
}

#[test]
fn fence_reads_only_where_it_is_put() {
    for row in READ {
        let stage = Stage::new(&[]);
        (row.since)(&stage);
        let reads = Guard::reads(stage.txn(stage.guard.fence(GUARD, two_reads()))).unwrap();
        assert_eq!(counts(reads), row.reads, "{}", row.name);
    }
}

#[test]
fn fence_makes_every_earlier_envelope_fail_and_lets_later_ones_through() {
    let stage = Stage::new(&[]);
    let earlier = [(); 3].map(|()| stage.seal_one(GUARD, Some(&stage.slot()), member()));
    stage.pass(FENCED);
    fence(&stage);
    for (envelope, seal) in earlier {
        let opened = seal.open(stage.txn(envelope)).unwrap();
        assert_eq!(opened, Opened::Fenced(FENCED));
    }
    assert_eq!(stage.keys_there(), []);
    let (later, seal) = stage.seal_one(FENCED, None, member());
    let opened = only(seal.open(stage.txn(later)).unwrap());
    assert_eq!(succeeded(opened), Opened::Answer(true));
}

#[test]
fn fence_is_put_on_the_lease_of_the_session() {
    let stage = Stage::new(&[]);
    fence(&stage);
    stage.revoke();
    let look = stage.txn(stage.guard.look(SINCE[0], Vec::new()));
    assert_eq!(Guard::reads(look), Ok(Opened::Gone));
}

#[test]
fn guard_is_put_only_where_there_is_none() {
    let stage = Stage::new(&[]);
    assert!(!stage.txn(stage.guard.open()).succeeded);
    delete(&stage);
    assert!(stage.txn(stage.guard.open()).succeeded);
}

#[test]
fn receipt_goes_with_the_session_and_names_one_envelope() {
    let [holds, ..] = SEALED;
    let (stage, _) = holds.open(true);
    let slot = stage.slot();
    let read = |slot: &ReceiptSlot| {
        let proof = slot.proof(0, 1);
        let reads = proof.reads().map(Op::Range);
        proof.receipt(&stage.txn(Txn::new().then(reads)).into_reads())
    };
    let others = [4, 50].map(|envelope| ReceiptSlot {
        envelope,
        ..slot.clone()
    });
    assert_eq!(read(&slot), Receipt::Names);
    assert_eq!(others.each_ref().map(read), [Receipt::DoesNotName; 2]);
    stage.revoke();
    assert_eq!(read(&slot), Receipt::DoesNotName);
}

/// The member, and one that puts the owner if the posting is there.
fn two_members() -> Vec<Member> {
    let other = Txn::new()
        .when([Compare::present(key(DATA))])
        .then([Op::put(key(OWNER), ANY)]);
    [member(), other]
        .map(|txn| Member {
            txn,
            needs_receipt: true,
        })
        .into()
}

#[test]
fn members_hold_or_are_refused_each_by_its_own_compares_as_all_was_before() {
    let stage = Stage::new(&[]);
    stage.pass(SENT);
    let (envelope, seal) = stage.guard.seal(GUARD, None, two_members());
    let Opened::Answer(answers) = seal.open(stage.txn(envelope)).unwrap() else {
        panic!("the guard is as known");
    };
    let held: Vec<_> = answers.iter().map(|answer| answer.succeeded).collect();
    assert_eq!(held, [true, false]);
    assert_eq!(stage.keys_there(), keys(&[(DATA, SENT)]));
}

#[test]
fn members_are_refused_together_under_a_guard_that_is_not_as_known() {
    let stage = Stage::new(&[]);
    fence(&stage);
    let (envelope, seal) = stage.guard.seal(GUARD, Some(&stage.slot()), two_members());
    let opened = seal.open(stage.txn(envelope));
    assert_eq!(opened, Ok(Opened::Fenced(SINCE[0])));
    assert_eq!(stage.keys_there(), []);
}

#[test]
fn receipt_of_many_names_those_that_were_not_refused() {
    let stage = Stage::new(&[]);
    let slot = stage.slot();
    let receipts = |slot: &ReceiptSlot| {
        [0, 1].map(|index| {
            let proof = slot.proof(index, 2);
            let reads = proof.reads().map(Op::Range);
            proof.receipt(&stage.txn(Txn::new().then(reads)).into_reads())
        })
    };
    let not_sent = receipts(&slot);
    assert_eq!(not_sent, [Receipt::DoesNotName, Receipt::DoesNotName]);
    let (envelope, _) = stage.guard.seal(GUARD, Some(&slot), two_members());
    stage.txn(envelope);
    assert_eq!(receipts(&slot), [Receipt::Names, Receipt::DoesNotName]);
    // The note that an earlier envelope left in the slot is not the later one's.
    let later = ReceiptSlot {
        envelope: 6,
        ..slot
    };
    stage.txn(Txn::new().then([Op::delete(key(DATA)), Op::put(key(OWNER), ANY)]));
    let (envelope, _) = stage.guard.seal(GUARD, Some(&later), two_members());
    stage.txn(envelope);
    assert_eq!(
        receipts(&later),
        [Receipt::DoesNotName, Receipt::DoesNotName]
    );
    stage.txn(Txn::new().then([Op::put(key(DATA), ANY)]));
    let last = ReceiptSlot {
        envelope: 7,
        ..later
    };
    let (envelope, _) = stage.guard.seal(GUARD, Some(&last), two_members());
    stage.txn(envelope);
    assert_eq!(receipts(&last), [Receipt::DoesNotName, Receipt::Names]);
}

#[test]
fn answer_of_another_shape_is_malformed() {
    let stage = Stage::new(&[]);
    let bare = stage.txn(Txn::new());
    let (_, one) = stage.seal_one(GUARD, Some(&stage.slot()), member());
    assert_eq!(one.open(bare.clone()), Err(Malformed));
    let refused = TxnResponse {
        succeeded: false,
        ..bare.clone()
    };
    assert_eq!(one.open(refused.clone()), Err(Malformed));
    assert_eq!(Guard::reads(refused), Err(Malformed));
    let (_, two) = stage.guard.seal(GUARD, None, two_members());
    assert_eq!(two.open(bare.clone()), Err(Malformed));
    let other = |answer: OpResponse| TxnResponse {
        responses: vec![answer.clone(), answer],
        ..bare.clone()
    };
    assert_eq!(two.open(other(OpResponse::Put)), Err(Malformed));
    assert!(two.open(other(OpResponse::Txn(bare.clone()))).is_ok());
}
