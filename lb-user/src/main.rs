//! The `ballast` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    lb_user::cli::main()
}
