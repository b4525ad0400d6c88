//! The command line: `jobboard --help`.
//!
//! Results go to standard output: tables for people, one JSON object a line for programs. Anything
//! else goes to standard error. The exit code is 0 if the command did what was asked, 1 if it did
//! not (one line says why), and 2 if the command line itself or an environment variable is wrong.

mod bench;
mod connect;
mod demo;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod interrupt;
mod log;
mod look;
mod output;
mod parse;
mod post;
mod run;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand, error::ErrorKind};

use self::{connect::Place, failure::Failure, output::Format};

/// What the help of all ends with.
const AFTER_HELP: &str = "\
Exit codes:
  0  The command did what was asked
  1  It did not, or not all of it: a line on standard error says why
  2  The command line or an environment variable is wrong: nothing was done

Environment variables:
  JOBBOARD_ENDPOINTS, JOBBOARD_NAMESPACE, JOBBOARD_BOARD, JOBBOARD_USER, JOBBOARD_OUTPUT
                     What the options of these names are where they are not given
  JOBBOARD_PASSWORD  The password of the user
  JOBBOARD_LOG       What is logged on standard error: off, error, warn, info, debug, trace, or a
                     filter such as warn,jobboard::session=debug [default: warn]
  NO_COLOR           If it is not empty, nothing is coloured
  ETCD               The etcd that demo and bench start";

/// A job board on etcd: post jobs, look at them, and have them done.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    /// How results are printed: tables for people, or one JSON object a line.
    #[arg(
        long,
        global = true,
        env = "JOBBOARD_OUTPUT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    output: Format,

    // After the others: its heading is that of all that follows it.
    #[command(flatten)]
    place: Place,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Post(post::Post),
    List(look::List),
    Show(look::Show),
    Run(run::Run),
    Demo(demo::Demo),
    Bench(bench::Bench),
    #[command(hide = true)]
    DemoConductor(demo::DemoConductor),
}

/// Does what the command line of this process asks for, and gives its exit code.
///
/// What the library has to log goes to standard error, from warnings on; the environment variable
/// `JOBBOARD_LOG` takes another level, or a filter as `RUST_LOG` is elsewhere, in which a word alone is
/// a level or a part of this library.
pub fn main() -> ExitCode {
    let cli = match parse::parse(std::env::args_os()).and_then(Cli::start_log) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version come this way too. There is nobody to tell if it fails.
            _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = tokio::runtime::Runtime::new()
        .map_err(Failure::system("start"))
        .and_then(|runtime| {
            let done = runtime.block_on(cli.run());
            // A thread that still reads standard input must not hold up the end.
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(format_args!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    /// What of the library's log a person is told.
    const fn worth_a_line(&self) -> &'static str {
        match self {
            // They show it themselves.
            Self::List(_) | Self::Show(_) => "warn,jobboard::cache::unreadable=error",
            _ => "warn",
        }
    }
}

impl Cli {
    /// Starts to log, before anything is done.
    fn start_log(self) -> Result<Self, clap::Error> {
        match log::start(self.command.worth_a_line()) {
            Ok(()) => Ok(self),
            Err(why) => Err(parse::wrong(ErrorKind::ValueValidation, why)),
        }
    }

    async fn run(self) -> Result<(), Failure> {
        let Self {
            place,
            output,
            command,
        } = self;
        match command {
            Command::Post(post) => post.run(&place, output).await,
            Command::List(list) => list.run(&place, output).await,
            Command::Show(show) => show.run(&place, output).await,
            Command::Run(run) => run.run(&place, output).await,
            Command::Demo(demo) => demo.run().await,
            Command::Bench(bench) => bench.run(output).await,
            Command::DemoConductor(conductor) => conductor.run(&place).await,
        }
    }
}
