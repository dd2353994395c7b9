//! Empty: cargo can only track a dependency on a library target, and `lb-user/build.rs` depends on
//! this package to be rebuilt with it. The program is `src/main.rs`.
#![no_std]
