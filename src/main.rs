//! The `isowright` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    isowright::cli::main()
}
