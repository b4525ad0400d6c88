//! What a record says beyond what this library knows.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::record::{self, Unreadable};

/// The fields of a record that this library does not know (yet), for when the record is written again.
/// They are kept as text: what is not looked into takes no more memory than it has bytes.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Unknown(Option<Arc<str>>);

impl Unknown {
    /// The fields of an object but for those that are known.
    pub(super) fn read(object: &[u8], known: &[&str]) -> Result<Self, Unreadable> {
        let mut fields: BTreeMap<String, &RawValue> = record::read(object)?;
        fields.retain(|name, _| !known.contains(&name.as_str()));
        if fields.is_empty() {
            return Ok(Self(None));
        }
        let text = serde_json::to_string(&fields)?;
        Ok(Self(Some(text[1..text.len() - 1].into())))
    }

    /// An object that has fields, and these as well.
    pub(super) fn beside(&self, object: Bytes) -> Bytes {
        let Some(fields) = &self.0 else { return object };
        let known = object.strip_suffix(b"}").expect("an object ends so");
        [known, b",", fields.as_bytes(), b"}"].concat().into()
    }
}

/// Leaves out what they say: it can be a secret.
impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.as_deref().map_or(0, str::len);
        write!(f, "Unknown({length} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_not_known_are_kept_to_the_letter() {
        let object = r#"{"b": 1.50,"known":1,"a":{"x": [1, 2]}}"#;
        let unknown = Unknown::read(object.as_bytes(), &["known"]).unwrap();
        let written = unknown.beside(Bytes::from_static(br#"{"known":2}"#));
        assert_eq!(&*written, br#"{"known":2,"a":{"x": [1, 2]},"b":1.50}"#);
    }

    #[test]
    fn object_that_is_all_known_stays_as_it_is() {
        let unknown = Unknown::read(br#"{"known":1}"#, &["known"]).unwrap();
        assert_eq!(unknown, Unknown::default());
        let object = Bytes::from_static(br#"{"known":2}"#);
        assert_eq!(unknown.beside(object.clone()), object);
        assert!(Unknown::read(b"[1]", &[]).is_err());
    }

    #[test]
    fn what_they_say_is_not_shown() {
        let unknown = Unknown::read(br#"{"token":"hunter2"}"#, &[]).unwrap();
        assert_eq!(format!("{unknown:?}"), "Unknown(17 bytes)");
    }
}
