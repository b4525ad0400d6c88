//! The line in which verbs wait to be sent, and what goes into one envelope.

use std::collections::BTreeMap;

use super::{
    member::{Member, WriteError},
    plan::{Candidate, Contents, Room, Size, plan},
};
use crate::{
    protocol::envelope,
    store::{ErrorKind, Limits, Txn},
};

/// How many verbs go into an envelope at most. It is what fits beside a receipt into etcd's
/// default of 128 operations, the largest verb's own among them.
const MEMBERS: usize = 120;

/// The same where the store stays slow after bursts. On etcd 3.4.23 and two cores, with 256 callers in a
/// closed loop, 48 did four fifths of the whole jobs a second that 120 did; eight callers made 2,100
/// keys a second on that server afterwards, where they made 1,650 after groups of 120, and 4,000 after
/// transactions of one verb each.
const GENTLE_MEMBERS: usize = 48;

/// How many envelopes are under way at once. With one, the line stands still while its answer travels
/// (9,400 whole jobs a second against 11,500 with two; etcd 3.5.1, 256 callers, two cores); three or
/// four gained up to 5 %, with smaller envelopes: more writes to disk for the same work, where disks
/// are slow.
const GROUPS_UNDER_WAY: usize = 2;

/// The same where each verb goes alone.
const SINGLES_UNDER_WAY: usize = 256;

/// How a session sends what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grouping {
    /// How many verbs go into one envelope at most.
    pub(super) members: usize,
    /// How many envelopes are under way at once.
    pub(super) under_way: usize,
}

/// A verb, ready to be sent.
pub(super) struct Order {
    member: Box<dyn Member>,
    txn: Txn,
    size: Size,
}

/// The verbs that wait, in the order in which they were handed in first.
pub(super) struct Line {
    waiting: BTreeMap<u64, Waiting>,
    room: Room,
}

struct Waiting {
    order: Order,
    passed_over: u8,
    alone: bool,
}

/// What was taken out of the line for one envelope.
#[derive(Default)]
pub(super) struct Load {
    /// The members, each with its place in the line.
    pub(super) members: Vec<(u64, Box<dyn Member>)>,
    /// Their transactions.
    pub(super) txns: Vec<envelope::Member>,
    /// How much they are together.
    pub(super) contents: Contents,
}

impl Grouping {
    /// Together where that is wanted, else each verb alone.
    pub(super) const fn new(together: bool, limits: Limits) -> Self {
        let members = if limits.slow_after_bursts {
            GENTLE_MEMBERS
        } else {
            MEMBERS
        };
        if together {
            Self {
                members,
                under_way: GROUPS_UNDER_WAY,
            }
        } else {
            Self {
                members: 1,
                under_way: SINGLES_UNDER_WAY,
            }
        }
    }
}

impl Order {
    pub(super) fn new(member: Box<dyn Member>) -> Self {
        let txn = member.txn();
        let size = Size::of(&txn, member.needs_receipt());
        Self { member, txn, size }
    }

    /// Ends it: it was never sent.
    pub(super) fn fail(self, error: WriteError) {
        self.member.fail(error);
    }
}

impl Line {
    pub(super) fn new(grouping: Grouping, limits: Limits) -> Self {
        let room = Room {
            members: grouping.members,
            ops: limits.ops,
            bytes: limits.bytes,
        };
        Self {
            waiting: BTreeMap::new(),
            room,
        }
    }

    pub(super) fn push(&mut self, place: u64, order: Order) {
        self.wait(place, order, false);
    }

    /// Lets one wait again in its old place; to go alone, or with others.
    pub(super) fn again(&mut self, place: u64, member: Box<dyn Member>, alone: bool) {
        self.wait(place, Order::new(member), alone);
    }

    fn wait(&mut self, place: u64, order: Order, alone: bool) {
        let waiting = Waiting {
            order,
            passed_over: 0,
            alone,
        };
        self.waiting.insert(place, waiting);
    }

    /// Takes out what goes into the next envelope: always the first in the line, if there is one.
    /// Who is not wanted any more is not sent, and told that there was `trouble`.
    pub(super) fn next(&mut self, trouble: &str) -> Option<Load> {
        while !self.is_empty() {
            let mut load = Load::default();
            for (place, order) in self.take_next() {
                if order.member.send() {
                    load.add(place, order);
                } else {
                    order.fail(WriteError::Unreached(trouble.to_owned()));
                }
            }
            if !load.members.is_empty() {
                return Some(load);
            }
        }
        None
    }

    fn take_next(&mut self) -> Vec<(u64, Order)> {
        let line = self.waiting.iter().map(|(place, waiting)| Candidate {
            place: *place,
            txn: &waiting.order.txn,
            size: waiting.order.size,
            passed_over: waiting.passed_over,
            alone: waiting.alone,
        });
        let plan = plan(line, self.room);
        for place in plan.passed_over {
            if let Some(waiting) = self.waiting.get_mut(&place) {
                waiting.passed_over += 1;
            }
        }
        let take = |place| Some((place, self.waiting.remove(&place)?.order));
        plan.taken.into_iter().filter_map(take).collect()
    }

    /// Learns that the store refused an envelope of this size; false if that says nothing of how
    /// much it takes at once.
    pub(super) fn learn(&mut self, refusal: ErrorKind, sent: Contents) -> bool {
        match refusal {
            ErrorKind::TooManyOps => self.room.ops = self.room.ops.min(sent.ops() / 2),
            ErrorKind::RequestTooLarge => self.room.bytes = self.room.bytes.min(sent.bytes() / 2),
            _ => return false,
        }
        tracing::info!(room = ?self.room, "etcd takes less in one transaction than it was sent");
        true
    }

    /// Whether the first in the line is to go alone.
    pub(super) fn first_is_alone(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(_, waiting)| waiting.alone)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out all that wait.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Box<dyn Member>> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().map(|waiting| waiting.order.member)
    }
}

impl Load {
    fn add(&mut self, place: u64, order: Order) {
        let Order { member, txn, size } = order;
        let needs_receipt = member.needs_receipt();
        self.txns.push(envelope::Member { txn, needs_receipt });
        self.members.push((place, member));
        self.contents.add(size);
    }
}
