//! The system calls of the harness that have no safe wrapper: bpf(2), ioctls of devices, real-time
//! scheduling, and a frame sent as it is.
#![expect(
    unsafe_code,
    reason = "the harness's one unsafe door; each block says why it is sound"
)]

use std::{
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Attaches a native XDP program that returns `XDP_PASS` to the interface with this index in the
/// calling thread's network namespace. It stays until the returned link is closed.
///
/// Native `XDP_TX` and redirect on a veth deliver only to a peer that has an XDP program too.
///
/// # Errors
/// That of the kernel, e.g. `EPERM`, or `EBUSY` where a program is attached already.
pub(crate) fn attach_xdp_pass(ifindex: u32) -> io::Result<OwnedFd> {
    let program = load_xdp_pass()?;
    let attr = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_ifindex: ifindex,
        attach_type: BPF_XDP,
        flags: XDP_FLAGS_DRV_MODE,
    };
    // SAFETY: `LinkCreate` is the prefix of `bpf_attr` that BPF_LINK_CREATE reads, has no padding
    // and no pointers.
    unsafe { bpf(BPF_LINK_CREATE, &attr) }
}

fn load_xdp_pass() -> io::Result<OwnedFd> {
    // struct bpf_insn, little endian: opcode, registers, offset (16 bits), immediate (32 bits).
    const MOV64_R0_XDP_PASS: u64 = 0x0000_0002_0000_00b7;
    const EXIT: u64 = 0x0000_0000_0000_0095;
    let instructions = [MOV64_R0_XDP_PASS, EXIT];
    let license = c"GPL";
    let attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: 2,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        rest: [0; 3],
        prog_name: *b"lab_pass\0\0\0\0\0\0\0\0",
    };
    // SAFETY: `ProgLoad` is the prefix of `bpf_attr` that BPF_PROG_LOAD reads (up to `prog_name`),
    // without padding; both pointers are to locals that outlive the call and match their counts.
    unsafe { bpf(BPF_PROG_LOAD, &attr) }
}

/// Takes an interface of the calling thread's network namespace down, within microseconds.
///
/// # Errors
/// When there is none of this name.
pub(crate) fn set_link_down(name: &str) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
    let mut request = request_for(name)?;
    for command in [libc::SIOCGIFFLAGS, libc::SIOCSIFFLAGS] {
        // SAFETY: both read and write one `ifreq`, which lives through the call; the fd is open.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), command, &raw mut request) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the first call has filled in the flags, and the second is the last.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        let up = i16::try_from(libc::IFF_UP).map_err(io::Error::other)?;
        request.ifr_ifru.ifru_flags = flags & !up;
    }
    Ok(())
}

/// A request about the interface of this name, otherwise zero.
fn request_for(name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no interface name",
        ));
    }
    // SAFETY: `ifreq` is plain old data, for which all zero bytes are a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}

/// Puts the calling thread under `SCHED_FIFO` at `priority` (1 to 99); its children start without.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`.
pub(crate) fn set_realtime(priority: i32) -> io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: priority,
    };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a local that lives through the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends a frame, from its destination MAC on, through `socket` (a packet socket) out of the
/// interface with this index.
///
/// # Errors
/// That of sendto(2).
pub(crate) fn send_frame(socket: &OwnedFd, ifindex: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain old data, for which all zero bytes are a value.
    let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
    to.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    to.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
    let length = libc::socklen_t::try_from(size_of_val(&to)).map_err(io::Error::other)?;
    // SAFETY: the buffer and the address live through the call, and the lengths are theirs.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            length,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The start of `union bpf_attr` for `BPF_PROG_LOAD` (kernel `include/uapi/linux/bpf.h`).
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    /// `log_level`, `log_size`, `log_buf` `kern_version`, `prog_flags`.
    rest: [u64; 3],
    prog_name: [u8; 16],
}

/// The start of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// bpf(2) for commands that return a file descriptor.
///
/// # Safety
/// `attr` is laid out as the part of `union bpf_attr` that `command` reads, without padding, and
/// its pointers are valid for what the kernel does with them.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise; the size passed is that of `T`.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attr, size_of::<T>()) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `enum bpf_attach_type`.
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
