//! Tests of the harness itself: what the other tests lean on.

mod hosts;
mod networks;
