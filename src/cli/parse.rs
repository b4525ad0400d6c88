//! How the words of a command line become what is to be done.

use std::{ffi::OsString, fmt::Display};

use clap::{
    ArgMatches, Command, CommandFactory, FromArgMatches, error::ErrorKind, parser::ValueSource,
};

use super::Cli;

/// The commands that start an etcd of their own, and the options of all commands that would do nothing there.
const USELESS: [(&str, &[&str]); 2] = [
    (
        "demo",
        &["endpoints", "namespace", "board", "user", "output"],
    ),
    ("bench", &["endpoints", "namespace", "board", "user"]),
];

/// Reads a command line, the name of the program first.
///
/// # Errors
/// If it is wrong, or asks for help or the version.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    refuse_useless(&matches)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// What is told of something wrong that clap does not find by itself.
pub(super) fn wrong(kind: ErrorKind, why: impl Display) -> clap::Error {
    command().error(kind, why)
}

/// The command line, without help on options where they are refused.
fn command() -> Command {
    let mut command = Cli::command();
    for (name, useless) in USELESS {
        let options = command.get_arguments();
        let useless = options.filter(|option| useless.contains(&option.get_id().as_str()));
        let hidden: Vec<_> = useless.map(|option| option.clone().hide(true)).collect();
        command = command.mut_subcommand(name, |subcommand| subcommand.args(hidden));
    }
    command
}

/// Refuses options that would do nothing. In the environment they are meant for other commands.
fn refuse_useless(matches: &ArgMatches) -> Result<(), clap::Error> {
    let is_given = |option: &str| matches.value_source(option) == Some(ValueSource::CommandLine);
    for (name, useless) in USELESS {
        if matches.subcommand_name() != Some(name) {
            continue;
        }
        if let Some(option) = useless.iter().find(|option| is_given(option)) {
            let why = format!("'jobboard {name}' takes no '--{option}'");
            return Err(wrong(ErrorKind::ArgumentConflict, why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn help_ends_with_all_variables_that_are_read() {
        let told = command().render_long_help().to_string();
        let (_, end) = told.split_once("Environment variables:").unwrap();
        let named = command();
        let named = named.get_arguments().filter_map(|option| option.get_env());
        let named: Vec<_> = named.filter_map(|name| name.to_str()).collect();
        assert_eq!(named.len(), 5);
        for name in named.into_iter().chain([crate::cli::log::VARIABLE]) {
            assert!(end.contains(name), "{name}");
        }
    }
}
