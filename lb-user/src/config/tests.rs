//! Whole files: the examples, the golden report, and what no text may do.

use proptest::prelude::*;

use super::*;

const MINIMAL: &str = "\
datapath:
  interfaces: [eth0]
services:
  - name: web
    address: 172.16.0.125
    port: 80
    backends:
      - address: 172.16.0.101
";

#[test]
fn a_minimal_file_gets_every_documented_default() {
    let loaded = validate_str("t.yaml", MINIMAL).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    insta::assert_debug_snapshot!(loaded.config);
}
