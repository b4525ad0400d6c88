//! The command `jobboard`: see `jobboard --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jobboard::cli::main()
}
