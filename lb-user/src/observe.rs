//! What is to be seen of a running agent: one [`snapshot`], its forms for people and for Prometheus, and the listener that serves
//! them.

pub mod snapshot;

pub mod text;

pub mod prometheus;

pub mod http;
