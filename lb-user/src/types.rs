//! Newtypes of the domain: what a bare integer or string would let us mix up.

use std::{
    fmt,
    net::IpAddr,
    num::{NonZeroU8, NonZeroU32},
    str::FromStr,
};

#[cfg(test)]
mod tests;

/// The kernel's index of a network interface (never 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(NonZeroU32);

impl IfIndex {
    /// `None` for 0, which the kernel uses for "no interface".
    #[must_use]
    pub fn new(index: u32) -> Option<Self> {
        NonZeroU32::new(index).map(Self)
    }

    /// The index as the kernel's interfaces take it.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 48-bit Ethernet address, bytes in wire order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// An address of one station: neither multicast/broadcast nor all zero.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An interface name the kernel would accept: 1–15 bytes, no `/`, no white space, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

/// Why a string is no interface name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an interface name (1 to 15 characters, no '/', ':' or white space)")]
pub struct IfNameError;

impl FromStr for IfName {
    type Err = IfNameError;

    /// Mirrors `dev_valid_name` in the kernel's `net/core/dev.c`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = s.is_empty()
            || s.len() > 15
            || s == "."
            || s == ".."
            || s.chars().any(|c| c == '/' || c == ':' || c.is_whitespace());
        if bad {
            Err(IfNameError)
        } else {
            Ok(Self(s.to_owned()))
        }
    }
}

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A virtual router identifier, 1–255 (RFC 9568 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(NonZeroU8);

impl RouterId {
    /// `None` for 0, which no virtual router may have.
    #[must_use]
    pub fn new(id: u8) -> Option<Self> {
        NonZeroU8::new(id).map(Self)
    }

    /// The identifier as it stands on the wire.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A VRRP priority (RFC 9568 section 5.2.4). The two with a meaning of their own have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// 0: the master gives up its role.
    pub const RELEASE: Self = Self(0);
    /// 255: the router owns the addresses.
    pub const OWNER: Self = Self(255);
    /// What a router has that was told nothing.
    pub const DEFAULT: Self = Self(100);

    /// An ordinary priority, 1–254; `None` for [`RELEASE`](Self::RELEASE) and [`OWNER`](Self::OWNER).
    #[must_use]
    pub fn new(priority: u8) -> Option<Self> {
        (1..=254).contains(&priority).then_some(Self(priority))
    }

    /// The priority as it stands on the wire.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A backend's share of its service's new flows, relative to the others; 0 takes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// No new flows.
    pub const ZERO: Self = Self(0);
    /// What a backend has that was told nothing.
    pub const ONE: Self = Self(1);

    /// Any 16-bit number is a weight.
    #[must_use]
    pub fn new(weight: u16) -> Self {
        Self(weight)
    }

    /// The weight as a number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a string is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a name (1 to {} bytes, no white space or control characters)",
    NAME_MAX
)]
pub struct NameError;

/// The longest name, in bytes: with its NUL it fits a 64-byte field of the maps people read.
pub const NAME_MAX: usize = 63;

/// Newtypes over a checked name: one kind of thing cannot be looked up by the name of another.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = NameError;

            /// 1 to [`NAME_MAX`] bytes without white space or control characters.
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                let bad = s.is_empty()
                    || s.len() > NAME_MAX
                    || s.chars().any(|c| c.is_whitespace() || c.is_control());
                if bad { Err(NameError) } else { Ok(Self(s.to_owned())) }
            }
        }

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

names! {
    /// The name of a service.
    ServiceName;
    /// The name of a backend, unique within its service.
    BackendName;
    /// The name of a VRRP instance.
    InstanceName;
    /// The name of a VRRP sync group.
    GroupName;
    /// The name of a tracking script.
    ScriptName;
}

impl From<IpAddr> for BackendName {
    /// What a backend without a name is called; the text of an address is always a name.
    fn from(address: IpAddr) -> Self {
        Self(address.to_string())
    }
}

/// A virtual address with the length of its network's prefix; host bits may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vip {
    addr: IpAddr,
    prefix: u8,
}

impl Vip {
    /// `None` where the prefix is longer than the address.
    #[must_use]
    pub fn new(addr: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= Self::full_prefix(addr)).then_some(Self { addr, prefix })
    }

    /// The address alone: /32 or /128.
    #[must_use]
    pub fn host(addr: IpAddr) -> Self {
        Self {
            addr,
            prefix: Self::full_prefix(addr),
        }
    }

    /// The address.
    #[must_use]
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// The length of the prefix in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    fn full_prefix(addr: IpAddr) -> u8 {
        if addr.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}
