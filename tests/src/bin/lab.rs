//! `lab`: the helpers that run inside the hosts of a lab, and the demo.

use std::process::ExitCode;

fn main() -> ExitCode {
    match lb_tests::lab::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
