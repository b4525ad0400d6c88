//! What the library logs, as a person sees it: on standard error, from warnings on.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal},
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The environment variable with another level, or with a filter.
pub(super) const VARIABLE: &str = "JOBBOARD_LOG";

/// Starts to log what the environment asks for; `otherwise`, if it says nothing.
///
/// # Errors
/// If what the environment asks for can not be read: this is why.
pub(super) fn start(otherwise: &str) -> Result<(), String> {
    let asked = match env::var_os(VARIABLE) {
        Some(asked) if !asked.is_empty() => asked,
        _ => otherwise.into(),
    };
    let filter = filter(&asked).map_err(|why| format!("{VARIABLE}={}: {why}", asked.display()))?;
    let no_color = env::var_os("NO_COLOR");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_coloured(io::stderr().is_terminal(), no_color.as_deref()))
        .init();
    Ok(())
}

/// Reads a filter, with what would log nothing for want of a level refused.
fn filter(asked: &OsStr) -> Result<EnvFilter, String> {
    let asked = asked.to_str().ok_or("this is no text")?;
    let is_word = |part: &&str| !part.is_empty() && !part.contains(['=', '[', ':']);
    // A lone word that is no level is the name of a crate: a misspelt level would silence all.
    let means_nothing =
        |word: &&str| word.parse::<LevelFilter>().is_err() && !word.starts_with("jobboard");
    if let Some(word) = asked.split(',').filter(is_word).find(means_nothing) {
        let levels = "off, error, warn, info, debug and trace";
        return Err(format!("{word:?} is no level; those are {levels}"));
    }
    EnvFilter::builder()
        .parse(asked)
        .map_err(|why| why.to_string())
}

/// Whether the log is coloured: escapes are of use to a terminal alone (<https://no-color.org>).
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_is_coloured_on_a_terminal_alone_and_not_if_colours_are_unwanted() {
        assert!(is_coloured(true, None));
        assert!(is_coloured(true, Some(OsStr::new(""))));
        assert!(!is_coloured(true, Some(OsStr::new("1"))));
        assert!(!is_coloured(false, None));
    }

    #[test]
    fn filter_is_a_level_or_levels_of_parts_and_a_misspelt_one_is_refused() {
        let is_good = |asked: &str| filter(OsStr::new(asked)).is_ok();
        for good in ["debug", "off", "jobboard", "warn,jobboard::cache=debug"] {
            assert!(is_good(good), "{good}");
        }
        for wrong in [
            "verbose",
            "wran",
            "jobboard=loud",
            "jobboard=debug, warn",
            "[a",
        ] {
            assert!(!is_good(wrong), "{wrong}");
        }
    }
}
