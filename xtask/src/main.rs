//! `cargo xtask …`: Ballast's developer commands. Each installs what it needs first (see
//! [`setup`]), says so, and installs nothing the second time.

mod build_ebpf;
mod flags;
mod fuzz;
mod lab;
mod setup;
mod sh;
mod test;
mod vm;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use flags::{Command, Flags};

fn main() -> ExitCode {
    let done = match Flags::parse().command {
        Command::Setup => setup::all().map(|()| ExitCode::SUCCESS),
        Command::BuildEbpf { out } => build_ebpf::run(out.as_deref()).map(|()| ExitCode::SUCCESS),
        Command::Test { tier, all_kernels } => test::run(&tier, all_kernels),
        Command::Demo { keep, json } => lab::demo(keep, json).map(|never| match never {}),
        Command::Lab { args } => lab::lab(&args).map(|never| match never {}),
        Command::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Command::Vm {
            kernel,
            timeout,
            command,
        } => vm::run(&kernel, Duration::from_secs(timeout), &command),
        Command::Bench { args } => lab::bench(&args).map(|never| match never {}),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
