//! A conductor as an entity of its board.

use std::process;

use serde_json::json;

use super::Conducting;
use crate::Entity;

/// The kind of entity that conductors are.
pub(super) const KIND: &str = "conductor";

impl Conducting {
    /// How the conductor stands among the entities of its board.
    pub(super) fn entity(&self) -> Entity {
        Entity::new(KIND, self.who.as_str()).with_metadata(json!({
            "host": host(),
            "pid": process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "concurrency": self.settings.concurrency,
            "started": self.started,
            "instance": self.instance,
        }))
    }
}

/// The name of a conductor's process: `{name}@{host}:{pid}`.
pub(super) fn who(name: &str) -> String {
    format!("{name}@{}:{}", host(), process::id())
}

fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
