//! The command line. Exit codes are part of the contract with scripts: see [`exit`].

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod check;
mod doctor;
mod exit;
mod import;
mod realserver;
mod remote;
mod run;
mod withdraw;

#[cfg(test)]
mod tests;

use args::{Args, Command};

/// Does what the command line asks; a wrong one ends the process with 2.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.command {
        Command::Run(options) => run::run(&args, options),
        Command::Check(options) => check::check(&args, options),
        Command::Import(options) => import::import(&args, options),
        Command::Doctor => doctor::doctor(&args),
        Command::Realserver(command) => realserver::realserver(&args, command),
        Command::Withdraw(options) => withdraw::withdraw(&args, options),
        Command::Reload | Command::Status | Command::Explain(_) | Command::Backend(_) => {
            remote::command(&args)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit::code(&error);
            if matches!(args.command, Command::Run(_)) {
                exit::report_in_time(error);
            } else {
                exit::report(&error);
            }
            code.into()
        }
    }
}

/// Writes to stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Writes a document to stdout.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}
