//! What is to be seen of a running agent: one [`snapshot`], and its forms for people.

pub mod snapshot;

pub mod text;
