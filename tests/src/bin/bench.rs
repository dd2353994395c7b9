//! `cargo xtask bench`: see `lb_tests::bench`.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    lb_tests::bench::run(&lb_tests::bench::Options::parse())
}
