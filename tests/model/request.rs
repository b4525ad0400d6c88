//! A request under way.

use std::fmt;

use crate::{
    etcd::{LANES, Members, Revision, SessionId},
    process::Told,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) process: usize,
    pub(crate) session: SessionId,
    /// The mod revision of the guard that it compares.
    pub(crate) guard: Revision,
    /// Whether its answer will still be heard. If not, it is a straggler.
    pub(crate) awaited: bool,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Body {
    Fence,
    /// An envelope, and what was told of each of its calls meanwhile.
    Write(Members, [Option<Told>; LANES]),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, guard, .. } = self;
        match &self.body {
            Body::Fence => write!(f, "the fence")?,
            Body::Write(members, _) => {
                let verbs = members.iter().flatten();
                let verbs: Vec<_> = verbs.map(|member| member.verb.to_string()).collect();
                write!(f, "{}", verbs.join(" with "))?;
            }
        }
        write!(f, " of session {session} (guard {guard})")
    }
}
