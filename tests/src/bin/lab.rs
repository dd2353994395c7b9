//! `lab`: the helpers that run inside the hosts of a lab, and the demo.

use anyhow::Result;

fn main() -> Result<()> {
    lb_tests::lab::cli::main()
}
