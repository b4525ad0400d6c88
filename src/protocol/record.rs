//! Reading and writing records: what is kept of them, and what is said of one that can not be read.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Deserializer as _, Serialize, de};
use serde_json::value::{RawValue, to_raw_value};

/// The newest layout of records that this library knows.
pub(crate) const VERSION: u32 = 1;

/// The longest record that is read, where only short ones are written: 64 KiB.
const SHORT: usize = 64 << 10;

/// Why a record can not be read. The text never repeats what the record says: it could be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Unreadable {
    why: String,
    newer: bool,
}

impl Unreadable {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            newer: false,
        }
    }

    /// Whether a newer version of this library wrote the record: there is nothing wrong with it.
    pub(crate) const fn is_newer(&self) -> bool {
        self.newer
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a field is missing or has the wrong form",
            _ => "it is not JSON",
        };
        Self::new(format!(
            "{what} (line {}, column {})",
            error.line(),
            error.column()
        ))
    }
}

/// Reads a record. All of it must be UTF-8, also what is passed over: it is copied into other records.
pub(crate) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Unreadable> {
    Ok(serde_json::from_str(utf8(bytes)?)?)
}

fn utf8(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|_| Unreadable::new("it is not UTF-8"))
}

/// Checks the length of a record that stands beside others. None that was written by this library, by a
/// newer one or by TaskFlow comes near it; who writes more than that means no good, and what is kept of
/// it would have to be kept by everybody.
pub(crate) fn check_short(bytes: &[u8]) -> Result<(), Unreadable> {
    if bytes.len() > SHORT {
        let why = format!("it has {} bytes, {SHORT} at most are read", bytes.len());
        return Err(Unreadable::new(why));
    }
    Ok(())
}

/// Reads a record in which there is JSON of any form, which must be [`Wellformed`].
pub(crate) fn read_open<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Unreadable> {
    read::<Wellformed>(bytes)?;
    read(bytes)
}

/// Reads a record that carries the version of its layout. If it can not be read, a newer version is
/// the reason that is told.
pub(crate) fn read_versioned<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Unreadable> {
    read(bytes).map_err(|why| newer(bytes).unwrap_or(why))
}

/// What is to be said of a record that a newer version of this library wrote; nothing, if none did.
pub(crate) fn newer(bytes: &[u8]) -> Option<Unreadable> {
    #[derive(Deserialize)]
    struct Any {
        jobboard: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let any: Any = read(bytes).ok()?;
    check_version(Some(any.jobboard.v)).err()
}

/// Checks the version of a record's layout, if it says one.
pub(crate) fn check_version(version: Option<u32>) -> Result<(), Unreadable> {
    match version {
        Some(newer) if newer > VERSION => Err(Unreadable {
            why: format!("its layout has version {newer}, this library knows {VERSION}"),
            newer: true,
        }),
        _ => Ok(()),
    }
}

/// What a record says of its layout, where it carries nothing else of ours.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Layout {
    v: Option<u32>,
}

impl Layout {
    /// That of what is written.
    pub(crate) const CURRENT: Self = Self { v: Some(VERSION) };

    /// Checks that of what was read, if it says one.
    pub(crate) fn check(read: Option<Self>) -> Result<(), Unreadable> {
        check_version(read.and_then(|layout| layout.v))
    }
}

/// Writes a record.
pub(crate) fn write(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record)
        .expect("records have text keys and no failing parts")
        .into()
}

/// Where a posting carries what is not TaskFlow's.
const EXTRAS: &str = "jobboard";

/// An object whose values are not looked into.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Rewrites a posting with `notes` added to its `"jobboard"` object; everything else, known or
/// not, stays as it was to the letter.
pub(crate) fn annotate(posting: &[u8], notes: &impl Serialize) -> Result<Bytes, Unreadable> {
    let mut fields: Fields = read(posting)?;
    let extras = fields.get(EXTRAS).map(|extras| extras.get().as_bytes());
    let extras = extras.map(read::<Option<Fields>>).transpose()?;
    let mut extras = extras.flatten().unwrap_or_default();
    extras.extend(read::<Fields>(&write(notes))?);
    fields.insert(EXTRAS.to_owned(), to_raw_value(&extras)?);
    Ok(write(&fields))
}

/// Rewrites a posting without the `notes` of these names in its `"jobboard"` object, and without that
/// if nothing else is in it; everything else, known or not, stays as it was to the letter.
pub(crate) fn without_notes(posting: &[u8], notes: &[&str]) -> Result<Bytes, Unreadable> {
    let mut fields: Fields = read(posting)?;
    if let Some(extras) = fields.remove(EXTRAS) {
        let mut extras: Option<Fields> = read(extras.get().as_bytes())?;
        if let Some(extras) = &mut extras {
            extras.retain(|name, _| !notes.contains(&name.as_str()));
        }
        if let Some(extras) = extras.filter(|extras| !extras.is_empty()) {
            fields.insert(EXTRAS.to_owned(), to_raw_value(&extras)?);
        }
    }
    Ok(write(&fields))
}

/// Any JSON that can be read whole, as it is: not nested too deep, no number out of range, no [`Name`]
/// that stands for something else. Keeps nothing.
#[derive(Debug)]
pub(crate) struct Wellformed;

/// Whether all fields of an object are `known`. What is in them must be [`Wellformed`], as in [`read_open`].
pub(crate) fn knows_all(object: &[u8], known: &[&str]) -> Result<bool, Unreadable> {
    let text = utf8(object)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let all = json.deserialize_map(Known(known))?;
    json.end()?;
    Ok(all)
}

/// What looks into an object for names that are not among these.
#[derive(Clone, Copy)]
struct Known<'a>(&'a [&'a str]);

impl<'de> de::Visitor<'de> for Known<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut all = true;
        while let Some(known) = map.next_key_seed(self)? {
            all &= known;
            map.next_value::<Wellformed>()?;
        }
        Ok(all)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<bool, E> {
        de::Visitor::visit_str::<E>(Name, name)?;
        Ok(self.0.contains(&name))
    }
}

impl<'de> de::DeserializeSeed<'de> for Known<'_> {
    type Value = bool;

    fn deserialize<D: de::Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

/// Whether a number with a fraction is [`Wellformed`]. It is not where `serde_json` is built, for whatever
/// else is in the program, to give such numbers as objects with a name of its own.
pub(crate) fn reads_numbers() -> bool {
    read::<Wellformed>(b"0.5").is_ok()
}

/// The name of a field of [`Wellformed`] JSON.
///
/// An object that begins with a name of `serde_json`'s own is not read as such: where any form is taken
/// (`serde_json::Value`), what its text says is read in its place, which is no JSON or is nested deeper
/// than the stack.
struct Name;

/// How the names begin that `serde_json` has for itself.
const PRIVATE: &str = "$serde_json::private::";

impl<'de> Deserialize<'de> for Wellformed {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> de::Visitor<'de> for Wellformed {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Name, Self>()?.is_some() {}
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self)
    }
}

impl de::Visitor<'_> for Name {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self, E> {
        if name.starts_with(PRIVATE) {
            return Err(E::custom("a name of serde_json's own"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notes_are_added_where_there_is_nothing_to_add_them_to() {
        for posting in ["{}", r#"{"jobboard":null}"#] {
            let noted = annotate(posting.as_bytes(), &json!({"attempts": 3})).unwrap();
            assert_eq!(&*noted, br#"{"jobboard":{"attempts":3}}"#);
        }
    }

    #[test]
    fn notes_are_added_and_nothing_else_changes() {
        let posting = br#"{"big":123456789012345678901234567890,"jobboard":{"v":1,"odd":1.50}}"#;
        let noted = annotate(posting, &json!({"reason": "bad"})).unwrap();
        assert_eq!(
            std::str::from_utf8(&noted).unwrap(),
            r#"{"big":123456789012345678901234567890,"jobboard":{"odd":1.50,"reason":"bad","v":1}}"#
        );
    }

    #[test]
    fn notes_on_a_foreign_posting_make_their_own_place() {
        let noted = annotate(b"{}", &json!({"reason": "bad"})).unwrap();
        assert_eq!(&*noted, br#"{"jobboard":{"reason":"bad"}}"#);
    }

    #[test]
    fn notes_are_taken_out_and_nothing_else_changes() {
        let plain = r#"{"big":123456789012345678901234567890,"jobboard":{"odd":1.50,"v":1}}"#;
        let noted = annotate(plain.as_bytes(), &json!({"reason": "bad", "attempts": 3})).unwrap();
        let names = ["reason", "attempts", "claim"];
        assert_eq!(without_notes(&noted, &names).unwrap(), plain);
        assert_eq!(without_notes(plain.as_bytes(), &names).unwrap(), plain);
        let foreign = annotate(br#"{"a":1.50}"#, &json!({"reason": "bad"})).unwrap();
        assert_eq!(&*without_notes(&foreign, &names).unwrap(), br#"{"a":1.50}"#);
        for none in [&br#"{"a":1}"#[..], br#"{"a":1,"jobboard":null}"#] {
            assert_eq!(&*without_notes(none, &names).unwrap(), br#"{"a":1}"#);
        }
        assert!(without_notes(br#"{"jobboard":3}"#, &names).is_err());
    }

    #[test]
    fn what_is_unreadable_is_told_without_its_words() {
        for secret in [&br#"{"uuid": "hunter2"}"#[..], b"hunter2", br#"["hunter2""#] {
            let why = read::<BTreeMap<String, u32>>(secret)
                .unwrap_err()
                .to_string();
            assert!(!why.contains("hunter2"), "{why}");
            assert!(why.contains("line 1"), "{why}");
        }
    }

    #[test]
    fn json_that_could_not_be_read_whole_is_not_wellformed() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        assert!(read::<Wellformed>(deep.as_bytes()).is_err());
        assert!(read::<Wellformed>(br#"{"far": 1e999}"#).is_err());
        assert!(read::<Wellformed>(br#"{"a": [1, -2, 3.5, "x", null, true, {}]}"#).is_ok());
    }

    #[test]
    fn fields_beyond_those_that_are_known_are_noticed_and_all_must_be_wellformed() {
        let known = &["a", "b"];
        for (object, all) in [
            ("{}", true),
            (r#"{"b": {"c": 1}, "\u0061": 2}"#, true),
            (r#"{"a": 1, "c": 2}"#, false),
        ] {
            assert_eq!(knows_all(object.as_bytes(), known).unwrap(), all);
        }
        for broken in [
            "[]",
            r#"{"a": 1} x"#,
            r#"{"a": 1e999}"#,
            r#"{"$serde_json::private::RawValue": "[1]"}"#,
            r#"{"a": {"$serde_json::private::RawValue": "[1]"}}"#,
        ] {
            assert!(knows_all(broken.as_bytes(), known).is_err(), "{broken}");
        }
        assert!(knows_all(b"{\"a\": \"\xff\"}", known).is_err());
    }

    #[test]
    fn json_that_is_read_as_something_else_is_not_wellformed() {
        for name in [
            "$serde_json::private::RawValue",
            r"\u0024serde_json::private::RawValue",
        ] {
            let odd = format!(r#"{{"a": [{{"{name}": "[1"}}]}}"#);
            assert!(serde_json::from_str::<serde_json::Value>(&odd).is_err());
            assert!(read::<Wellformed>(odd.as_bytes()).is_err());
            let other = format!(r#"{{"a": [{{"{name}": "[1]"}}]}}"#);
            let read_as = serde_json::from_str::<serde_json::Value>(&other).unwrap();
            assert_eq!(read_as, json!({"a": [[1]]}));
            assert!(read::<Wellformed>(other.as_bytes()).is_err());
        }
    }
}
