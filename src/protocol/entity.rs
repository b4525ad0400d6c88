//! Entities: who registered at a board, and the record under which each of them stands.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    limits::{MAX_METADATA, check_length, check_name},
    record::{self, Unreadable},
};
use crate::error::{Error, ErrorKind, Result};

/// Somebody who works at a board, and lets the others know: a conductor, say.
///
/// It is shown with its kind and name, never with its metadata: they can carry secrets. Clones are
/// cheap.
///
/// # Examples
/// ```
/// use jobboard::Entity;
/// use serde_json::json;
///
/// let entity = Entity::new("conductor", "thumbnails@host-3:4711");
/// let entity = entity.with_metadata(json!({"version": "1.4", "slots": 8}));
/// assert_eq!(entity.metadata()["slots"], 8);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Entity {
    kind: Arc<str>,
    name: Arc<str>,
    metadata: Arc<Value>,
}

impl Entity {
    /// An entity of that kind and name, without metadata. Each is 1 to 255 bytes of any text.
    ///
    /// A name need not be unique: a process that was started again stands for a while beside its
    /// namesake of before.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: kind.into().into(),
            name: name.into().into(),
            metadata: Arc::new(Value::Object(Map::new())),
        }
    }

    /// What else is worth knowing of it: a JSON object, at most 16 KiB of JSON. Defaults to an empty
    /// one.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Value) -> Self {
        self.metadata = Arc::new(metadata);
        self
    }

    /// What it is.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What else is known of it: a JSON object, if it is registered.
    pub fn metadata(&self) -> &Value {
        &self.metadata
    }

    /// Reads the record of an entity. Fields that are not known are left out.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        record::check_short(bytes)?;
        let Wire {
            kind,
            name,
            metadata,
        } = record::read_open(bytes)?;
        if !metadata.is_object() {
            return Err(Unreadable::new("the metadata are no JSON object"));
        }
        Ok(Self::new(kind, name).with_metadata(metadata.into_owned()))
    }
}

/// Leaves the metadata out: they can carry secrets.
impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entity({:?}, {:?})", self.kind, self.name)
    }
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    metadata: Cow<'a, Value>,
}

/// An entity that can be registered: within the limits, and with a record that everybody can read.
#[derive(Clone)]
pub(crate) struct EntityRecord {
    entity: Entity,
    record: Bytes,
}

impl EntityRecord {
    /// Checks `entity`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with what is wrong.
    pub(crate) fn new(doing: &str, entity: &Entity) -> Result<Self> {
        let Entity {
            kind,
            name,
            metadata,
        } = entity;
        let invalid = |why: String| Error::new(ErrorKind::Invalid, doing, why);
        check_name(doing, "the kind", kind)?;
        check_name(doing, "the name", name)?;
        let length = record::write(&**metadata).len();
        check_length(doing, "the metadata", length, MAX_METADATA)?;
        let record = record::write(&Wire {
            kind: Cow::Borrowed(kind),
            name: Cow::Borrowed(name),
            metadata: Cow::Borrowed(metadata),
        });
        let entity = Entity::read(&record).map_err(|why| invalid(why.to_string()))?;
        Ok(Self { entity, record })
    }

    /// The entity.
    pub(crate) const fn entity(&self) -> &Entity {
        &self.entity
    }

    /// What is written.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.record
    }
}

impl fmt::Debug for EntityRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entity.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conductor() -> Entity {
        Entity::new("conductor", "a@h:1").with_metadata(json!({"slots": 8, "key": "hunter2"}))
    }

    fn why(entity: &Entity) -> String {
        let refused = EntityRecord::new("register", entity).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        refused.to_string()
    }

    #[test]
    fn record_reads_back() {
        let record = EntityRecord::new("register", &conductor()).unwrap();
        assert_eq!(
            std::str::from_utf8(record.bytes()).unwrap(),
            r#"{"kind":"conductor","name":"a@h:1","metadata":{"key":"hunter2","slots":8}}"#
        );
        assert_eq!(Entity::read(record.bytes()).unwrap(), conductor());
        assert_eq!(*record.entity(), conductor());
    }

    #[test]
    fn fields_that_are_not_known_do_no_harm() {
        let record = br#"{"v":2,"kind":"k","name":"n","metadata":{},"more":[]}"#;
        assert_eq!(Entity::read(record).unwrap(), Entity::new("k", "n"));
    }

    #[test]
    fn record_of_another_shape_is_unreadable() {
        for record in [
            &b"\xff?"[..],
            b"[]",
            br#"{"kind":"k","name":"n"}"#,
            br#"{"kind":"k","name":3,"metadata":{}}"#,
            br#"{"kind":"k","name":"n","metadata":null}"#,
            br#"{"kind":"k","name":"n","metadata":[1]}"#,
        ] {
            assert!(Entity::read(record).is_err());
        }
    }

    #[test]
    fn entity_past_a_limit_is_refused() {
        let long = "n".repeat(256);
        assert_eq!(why(&Entity::new("", "n")), "register: the kind is empty");
        assert_eq!(why(&Entity::new("k", "")), "register: the name is empty");
        for long in [Entity::new(&*long, "n"), Entity::new("k", &*long)] {
            assert!(why(&long).ends_with("has 256 bytes, the limit is 255"));
        }
        // With the quotes and the braces, 8 bytes more.
        let of = |size| Entity::new("k", "n").with_metadata(json!({"x": "y".repeat(size)}));
        assert!(EntityRecord::new("register", &of(16_384 - 8)).is_ok());
        let too_large = "register: the metadata has 16385 bytes, the limit is 16384";
        assert_eq!(why(&of(16_384 - 7)), too_large);
    }

    #[test]
    fn metadata_that_nobody_could_read_is_refused() {
        let deep = (0..200).fold(json!(1), |deep, _| json!([deep]));
        for metadata in [json!([1]), json!(null), json!({"deep": deep})] {
            why(&Entity::new("k", "n").with_metadata(metadata));
        }
    }

    #[test]
    fn metadata_is_not_shown() {
        let record = EntityRecord::new("register", &conductor()).unwrap();
        let shown = format!("{:?} {record:?}", conductor());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("a@h:1"), "{shown}");
    }
}
