//! Our own end of the tunnel: the program of `lb-ebpf/src/decap.rs`, its maps and links.
//!
//! All of it is pinned, so it outlives the command:
//!
//! ```text
//! BPFFS_DIR/realserver/v<layout>/hosts vips sources stats program link_<ifindex>
//! ```

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, lpm_trie::Key},
    programs::{
        ProgramError, ProgramInfo, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use ipnet::IpNet;
use lb_common::{
    addr::Addr,
    decap::{DecapCounters, LAYOUT},
};

use crate::{
    dataplane::{object, pins},
    net::xdp_attachment,
    types::{IfIndex, IfName},
};

/// Why our own end of the tunnel cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFailure {
    /// Pin paths.
    #[error(transparent)]
    Pins(#[from] pins::PinsError),
    /// The object was refused.
    #[error("cannot load the decapsulation program (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)")]
    Load(#[source] Box<aya::EbpfError>),
    /// The verifier refused the program.
    #[error("the kernel's verifier refused the decapsulation program")]
    Verify(#[source] Box<ProgramError>),
    /// A table refused.
    #[error("cannot write the table `{name}` of the decapsulation program")]
    Table {
        /// Which.
        name: &'static str,
        /// Why.
        source: Box<MapError>,
    },
    /// Somebody else's program is on the interface.
    #[error(
        "interface `{0}` already runs another XDP program; detach it with `ip link set dev {0} xdp off` \
         or remove its link, or let packets arrive by another one (`--interface`)"
    )]
    Busy(IfName),
    /// The kernel or the driver refused.
    #[error("cannot attach the decapsulation program to `{interface}`")]
    Attach {
        /// Where.
        interface: IfName,
        /// Why.
        source: Box<ProgramError>,
    },
    /// The program could not be pinned.
    #[error("cannot pin the decapsulation program")]
    Pin(#[source] Box<aya::pin::PinError>),
    /// The kernel gave something that cannot be kept.
    #[error("cannot keep the decapsulation program on `{interface}`: {reason}")]
    Keep {
        /// Where.
        interface: IfName,
        /// Why.
        reason: String,
    },
}

/// What the program goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Addresses of this host that tunnels may end at.
    pub hosts: BTreeSet<IpAddr>,
    /// Virtual addresses.
    pub vips: BTreeSet<IpAddr>,
    /// Outer sources that are taken.
    pub sources: BTreeSet<IpNet>,
}

/// The loaded program.
#[derive(Debug)]
pub struct Program {
    ebpf: Ebpf,
    dir: PathBuf,
}

impl Program {
    /// Loads the program onto its pinned maps, and makes those that are missing.
    ///
    /// # Errors
    /// [`ProgramFailure`]
    pub fn open(bpffs_dir: &Path) -> Result<Self, ProgramFailure> {
        let dir = directory(bpffs_dir);
        pins::on_bpffs(bpffs_dir)?;
        pins::make_dir(&dir)?;
        let mut loader = EbpfLoader::new();
        let paths = MAPS.map(|(_, pin)| dir.join(pin));
        for ((map, _), path) in MAPS.iter().zip(&paths) {
            loader.map_pin_path(map, path.as_path());
        }
        let ebpf = loader
            .load(object::BALLAST_DECAP)
            .map_err(|error| ProgramFailure::Load(Box::new(error)))?;
        let mut program = Self { ebpf, dir };
        program
            .xdp()
            .load()
            .map_err(|error| ProgramFailure::Verify(Box::new(error)))?;
        Ok(program)
    }

    /// The program itself.
    ///
    /// # Panics
    /// Never: the object is of this build.
    pub fn xdp(&mut self) -> &mut Xdp {
        let program = self.ebpf.program_mut(PROGRAM);
        let program = program.expect("the object of this build has its program");
        program.try_into().expect("and it is an XDP program")
    }

    /// Makes the tables say this. What is new comes before what is old goes.
    ///
    /// # Errors
    /// [`ProgramFailure::Table`]; what was written stays.
    pub fn set(&mut self, contents: &Contents) -> Result<(), ProgramFailure> {
        self.set_addresses(HOSTS, &contents.hosts)?;
        self.set_sources(&contents.sources)?;
        self.set_addresses(VIPS, &contents.vips)
    }

    fn set_addresses(
        &mut self,
        index: usize,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<(), ProgramFailure> {
        let wanted: BTreeSet<Addr> = wanted.iter().copied().map(Addr::from).collect();
        let mut table: HashMap<_, Addr, u32> =
            HashMap::try_from(self.map(index)).map_err(table_error(index))?;
        for address in &wanted {
            table.insert(address, 1, 0).map_err(table_error(index))?;
        }
        let present: Vec<Addr> = table.keys().filter_map(Result::ok).collect();
        for address in present.iter().filter(|address| !wanted.contains(address)) {
            gone(table.remove(address)).map_err(table_error(index))?;
        }
        Ok(())
    }

    fn set_sources(&mut self, wanted: &BTreeSet<IpNet>) -> Result<(), ProgramFailure> {
        let wanted: BTreeSet<(u32, Addr)> = wanted.iter().map(prefix).collect();
        let mut table: LpmTrie<_, Addr, u32> =
            LpmTrie::try_from(self.map(SOURCES)).map_err(table_error(SOURCES))?;
        for (length, address) in &wanted {
            let key = Key::new(*length, *address);
            table.insert(&key, 1, 0).map_err(table_error(SOURCES))?;
        }
        let present: Vec<_> = table.keys().filter_map(Result::ok).collect();
        for key in present {
            if !wanted.contains(&(key.prefix_len(), key.data())) {
                gone(table.remove(&key)).map_err(table_error(SOURCES))?;
            }
        }
        Ok(())
    }

    fn map(&mut self, index: usize) -> &mut Map {
        let map = self.ebpf.map_mut(MAPS[index].0);
        map.expect("the object of this build has its maps")
    }

    /// The program runs on these interfaces, and on no others; returns those that are new. Whether one
    /// has a link is told by its pin. A link gets this program in one step, if it has another one.
    ///
    /// # Errors
    /// [`ProgramFailure`] of the first that failed.
    pub fn attach(
        &mut self,
        interfaces: &[(IfIndex, IfName)],
    ) -> Result<Vec<IfName>, ProgramFailure> {
        let pin = self.dir.join(PROGRAM_PIN);
        let tag = self.xdp().info().map(|info| info.tag()).ok();
        let same = tag.is_some() && ProgramInfo::from_pin(&pin).map(|info| info.tag()).ok() == tag;
        let mut new = Vec::new();
        for (index, name) in interfaces {
            let runs = same && is_attached(&self.dir, *index);
            if !runs && !self.take_over(*index, name)? {
                self.attach_anew(*index, name)?;
                new.push(name.clone());
            }
        }
        for (index, path) in links(&self.dir) {
            if !interfaces.iter().any(|(wanted, _)| wanted.get() == index) {
                pins::remove(&path)?;
            }
        }
        if !same {
            pins::remove(&pin)?;
            let pinned = self.xdp().pin(&pin);
            pinned.map_err(|error| ProgramFailure::Pin(Box::new(error)))?;
        }
        Ok(new)
    }

    /// `false` where there is no link, or one whose interface is gone.
    fn take_over(&mut self, index: IfIndex, name: &IfName) -> Result<bool, ProgramFailure> {
        let path = link_path(&self.dir, index.get());
        if !path.exists() {
            return Ok(false);
        }
        let keep = |reason: String| ProgramFailure::Keep {
            interface: name.clone(),
            reason,
        };
        let link = PinnedLink::from_pin(&path).map_err(|e| keep(e.to_string()))?;
        let link = XdpLink::try_from(FdLink::from(link)).map_err(|e| keep(e.to_string()))?;
        match self.xdp().attach_to_link(link) {
            Ok(_) => Ok(true),
            // ENOLINK: the interface is gone; the index was given again.
            Err(ProgramError::SyscallError(e))
                if e.io_error.raw_os_error() == Some(libc::ENOLINK) =>
            {
                pins::remove(&path)?;
                Ok(false)
            }
            Err(error) => Err(keep(error.to_string())),
        }
    }

    /// In the driver where that can, else in the stack.
    fn attach_anew(&mut self, index: IfIndex, name: &IfName) -> Result<(), ProgramFailure> {
        let program = self.xdp();
        let id = match program.attach_to_if_index(index.get(), XdpMode::Driver) {
            Err(error) if !is_busy(&error) => program.attach_to_if_index(index.get(), XdpMode::Skb),
            other => other,
        };
        let id = id.map_err(|error| {
            if is_busy(&error) {
                ProgramFailure::Busy(name.clone())
            } else {
                ProgramFailure::Attach {
                    interface: name.clone(),
                    source: Box::new(error),
                }
            }
        })?;
        let keep = |reason: String| ProgramFailure::Keep {
            interface: name.clone(),
            reason,
        };
        let link = program.take_link(id).map_err(|e| keep(e.to_string()))?;
        let link = FdLink::try_from(link).map_err(|e| keep(e.to_string()))?;
        link.pin(link_path(&self.dir, index.get()))
            .map_err(|e| keep(e.to_string()))?;
        Ok(())
    }
}

/// Whether an interface has a link of ours that is alive.
fn is_attached(dir: &Path, index: IfIndex) -> bool {
    link_path(dir, index.get()).exists() && matches!(xdp_attachment(index), Ok(Some(_)))
}

/// Whether an interface is free for our program, or has it.
pub(super) fn is_free(bpffs_dir: &Path, index: IfIndex) -> bool {
    link_path(&directory(bpffs_dir), index.get()).exists()
        || !matches!(xdp_attachment(index), Ok(Some(_)))
}

/// What is there, without changing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The tables.
    pub contents: Contents,
    /// Interfaces that run the program.
    pub interfaces: BTreeSet<IfIndex>,
    /// What it did so far, all CPUs together.
    pub counters: DecapCounters,
}

/// Looks at what is pinned; `None` where nothing is.
#[must_use]
pub fn look(bpffs_dir: &Path) -> Option<Seen> {
    let dir = directory(bpffs_dir);
    let hosts = addresses(open(&dir, HOSTS)?)?;
    let vips = addresses(open(&dir, VIPS)?)?;
    let table: LpmTrie<MapData, Addr, u32> = Map::LpmTrie(open(&dir, SOURCES)?).try_into().ok()?;
    let sources = table.keys().filter_map(|key| {
        let key = key.ok()?;
        network(key.prefix_len(), key.data())
    });
    let stats: PerCpuArray<MapData, DecapCounters> =
        Map::PerCpuArray(open(&dir, STATS)?).try_into().ok()?;
    let of_cpus = stats.get(&0, 0).ok()?;
    let counters = of_cpus.iter().fold(DecapCounters::default(), sum);
    let attached = links(&dir).into_iter().filter_map(|(index, _)| {
        let index = IfIndex::new(index)?;
        is_attached(&dir, index).then_some(index)
    });
    Some(Seen {
        contents: Contents {
            hosts,
            vips,
            sources: sources.collect(),
        },
        interfaces: attached.collect(),
        counters,
    })
}

/// Takes the program off all interfaces and removes everything that is pinned; `false` where nothing was.
///
/// # Errors
/// [`ProgramFailure::Pins`]
pub(super) fn remove(bpffs_dir: &Path) -> Result<bool, ProgramFailure> {
    let all = bpffs_dir.join(pins::REALSERVER);
    if !all.exists() {
        return Ok(false);
    }
    // Links first: no packet meets a program whose tables are gone. Other layouts are ours, too.
    let layouts = entries(&all);
    for dir in &layouts {
        for (_, path) in links(dir) {
            pins::remove(&path)?;
        }
    }
    for dir in &layouts {
        for path in entries(dir) {
            pins::remove(&path)?;
        }
        remove_dir(dir)?;
    }
    remove_dir(&all)?;
    // The agent's directory, where there is no agent's.
    if entries(bpffs_dir).is_empty() {
        remove_dir(bpffs_dir)?;
    }
    Ok(true)
}

fn directory(bpffs_dir: &Path) -> PathBuf {
    bpffs_dir.join(pins::REALSERVER).join(format!("v{LAYOUT}"))
}

fn link_path(dir: &Path, index: u32) -> PathBuf {
    dir.join(format!("link_{index}"))
}

fn links(dir: &Path) -> Vec<(u32, PathBuf)> {
    let named = entries(dir).into_iter().filter_map(|path| {
        let index = path.file_name()?.to_str()?.strip_prefix("link_")?;
        Some((index.parse().ok()?, path))
    });
    named.collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn remove_dir(path: &Path) -> Result<(), pins::PinsError> {
    fs::remove_dir(path).map_err(|source| pins::PinsError::File {
        what: "remove",
        path: path.to_path_buf(),
        source,
    })
}

fn open(dir: &Path, index: usize) -> Option<MapData> {
    MapData::from_pin(dir.join(MAPS[index].1)).ok()
}

fn addresses(map: MapData) -> Option<BTreeSet<IpAddr>> {
    let table: HashMap<MapData, Addr, u32> = Map::HashMap(map).try_into().ok()?;
    Some(keys(&table))
}

fn keys<V: Pod>(table: &HashMap<MapData, Addr, V>) -> BTreeSet<IpAddr> {
    let keys = table.keys().filter_map(Result::ok);
    keys.map(|address| address.to_ip()).collect()
}

/// As the trie holds it: IPv4 as IPv4-mapped.
fn prefix(net: &IpNet) -> (u32, Addr) {
    let length = u32::from(net.prefix_len());
    let mapped = if net.addr().is_ipv4() { MAPPED_BITS } else { 0 };
    (length + mapped, Addr::from(net.network()))
}

fn network(length: u32, address: Addr) -> Option<IpNet> {
    let mapped = if address.is_v4() { MAPPED_BITS } else { 0 };
    let length = u8::try_from(length.checked_sub(mapped)?).ok()?;
    IpNet::new(address.to_ip(), length).ok()
}

fn sum(total: DecapCounters, of_cpu: &DecapCounters) -> DecapCounters {
    DecapCounters {
        packets: total.packets + of_cpu.packets,
        bytes: total.bytes + of_cpu.bytes,
        source_refused: total.source_refused + of_cpu.source_refused,
        fragment: total.fragment + of_cpu.fragment,
        malformed: total.malformed + of_cpu.malformed,
        congestion: total.congestion + of_cpu.congestion,
        no_room: total.no_room + of_cpu.no_room,
        reserved: 0,
    }
}

fn gone(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(e)) if e.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn table_error(index: usize) -> impl Fn(MapError) -> ProgramFailure {
    move |source| ProgramFailure::Table {
        name: MAPS[index].1,
        source: Box::new(source),
    }
}

fn is_busy(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(e)
        if matches!(e.io_error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)))
}

/// The program's name in the object.
const PROGRAM: &str = "ballast_decap";
/// Its pin: tells whether another build of it runs.
const PROGRAM_PIN: &str = "program";
/// The maps, by their names in the object and as pins.
const MAPS: [(&str, &str); 4] = [
    ("DECAP_HOSTS", "hosts"),
    ("DECAP_VIPS", "vips"),
    ("DECAP_SOURCES", "sources"),
    ("DECAP_STATS", "stats"),
];
const HOSTS: usize = 0;
const VIPS: usize = 1;
const SOURCES: usize = 2;
const STATS: usize = 3;
/// Bits of an IPv4-mapped address before the IPv4 address.
const MAPPED_BITS: u32 = 96;
