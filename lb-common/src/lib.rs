//! What the XDP program and the agent must agree on, bit for bit.
#![no_std]
