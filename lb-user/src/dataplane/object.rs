//! The BPF objects that `build.rs` built.

/// The program as shipped.
pub static BALLAST: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ballast-xdp"));
/// The build that logs packets (`--trace-packets`).
pub static BALLAST_TRACE: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ballast-xdp-trace"));
/// The tunnel's end of a real server.
pub static BALLAST_DECAP: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ballast-decap"));
