//! The protocol, pure: keys, records, and each verb as a transaction and what its answer means.
//!
//! Nothing here waits, asks the time, draws a number or talks to etcd. A verb's transaction decides
//! everything by its own compares, inside the envelope of the session that writes it; what happens
//! when an answer is lost is told by [`verb::Verb::settle`].

pub(crate) mod abandon;
pub(crate) mod backoff;
pub(crate) mod barrier;
pub(crate) mod book;
pub(crate) mod cancel;
pub(crate) mod claim;
pub(crate) mod consume;
pub(crate) mod detail;
pub(crate) mod done;
pub(crate) mod ended;
pub(crate) mod entity;
pub(crate) mod envelope;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod holding;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod offer;
pub(crate) mod owner;
pub(crate) mod pause;
pub(crate) mod post;
pub(crate) mod posting;
pub(crate) mod priority;
pub(crate) mod progress;
pub(crate) mod purge;
pub(crate) mod quarantine;
pub(crate) mod quarantined;
pub(crate) mod record;
pub(crate) mod register;
pub(crate) mod release;
pub(crate) mod repeatable;
pub(crate) mod reserve;
pub(crate) mod restore;
pub(crate) mod state;
#[cfg(test)]
mod table;
pub(crate) mod terms;
pub(crate) mod time;
pub(crate) mod trash;
pub(crate) mod trash_unclaimed;
pub(crate) mod trashed;
pub(crate) mod unique;
mod unknown;
pub(crate) mod verb;
