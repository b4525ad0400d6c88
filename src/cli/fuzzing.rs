//! What is tried of the command line with bytes of any kind. Only there when this is compiled to be fuzzed
//! (`make fuzz`).

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use serde_json::Value;

use super::{output, parse, post};

/// Takes `bytes` for the arguments of a command line, each ended by a zero, and for what else a person
/// gives: details in a file, and text that is shown again.
///
/// # Panics
/// If arguments are refused without a reason, or if what is shown could move a cursor or reads as
/// something else.
pub fn arguments(bytes: &[u8]) {
    let arguments = bytes.split(|byte| *byte == 0);
    let arguments = arguments.map(|argument| OsString::from_vec(argument.to_vec()));
    let words = [OsString::from("jobboard")].into_iter().chain(arguments);
    if let Err(refused) = parse::parse(words) {
        assert!(!refused.to_string().is_empty());
    }
    if let Ok(details) = post::object(bytes) {
        let text = serde_json::to_string_pretty(&details).expect("JSON can be written");
        let shown = output::plain_json(&text);
        assert!(!shown.replace('\n', "").contains(output::is_obeyed));
        assert!(serde_json::from_str::<Value>(&shown).is_ok_and(|read| read == details));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(!output::plain(text).contains(output::is_obeyed));
    }
}
