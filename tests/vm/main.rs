//! What only a kernel with modules can show: IPVS, tunnels of the kernel's own, and that the XDP
//! program is accepted. Run by `cargo xtask test vm` under an emulated Debian kernel; on a host whose
//! kernel has the modules they run as they are (`cargo test -p lb-tests --test vm`).

mod checker;
mod fallback;
mod ipvsadm;
mod kernel;
mod nat;
mod pair;
mod s0;
mod support;
