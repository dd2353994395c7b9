//! Every map and the context, and the door to them. The agent finds them by these names.
#![expect(unsafe_code, reason = "map values are raw pointers")]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, DevMapHash, LruHashMap, PerCpuArray},
    helpers::bpf_ktime_get_coarse_ns,
    macros::btf_map,
    programs::XdpContext,
};
use lb_common::{
    addr::Addr,
    arena::{self, Region},
    clients::Client,
    connections::{Memory, SET, TICK_SHIFT, WAY},
    counters::{self, DROP_WORDS, DropCounters, FlowCounters, Shared, TrafficCounters},
    describe::{BackendDescription, ServiceDescription},
    limits::MAX_INTERFACES,
    parse::Parsed,
    verdict::{DropReason, FlowEvent},
};

use crate::pipeline;

/// `BPF_F_MMAPABLE`
const MMAPABLE: usize = 1 << 10;
/// Arena size of the object as it is; the agent makes the map in the size it wants and sets
/// [`ARENA_LENGTH`] to match.
const DEFAULT_ARENA: usize = 1 << 20;

/// Size of the connection table, likewise with [`TABLE_MASK`].
const DEFAULT_TABLE: usize = 1 << 12;

/// Packets in fragments at a time: a flood of them costs nobody else anything.
const FRAGMENT_NOTES: usize = 8192;

/// Room for what is known of a packet.
#[repr(C)]
struct Scratch {
    words: [u64; 16],
}

/// Answers in the current tick.
#[repr(C)]
struct AnswerCount {
    tick: u32,
    count: u32,
}

/// Answers that a CPU may give in a tick (a second): as many as hosts of a site need to learn their
/// paths, and nothing to flood with.
const ANSWERS_PER_TICK: u32 = 100;

/// The connection table's value.
#[repr(C)]
struct TableValue {
    words: [u64; DEFAULT_TABLE / 8],
}

/// The arena's value. `u64` so that it is aligned for everything in it.
#[repr(C)]
struct ArenaValue {
    words: [u64; DEFAULT_ARENA / 8],
}

#[btf_map]
static ARENA: Array<ArenaValue, 1, MMAPABLE> = Array::new();
#[btf_map]
static SERVICE_STATS: PerCpuArray<TrafficCounters, 64> = PerCpuArray::new();
#[btf_map]
static BACKEND_STATS: PerCpuArray<TrafficCounters, 256> = PerCpuArray::new();
#[btf_map]
static DROP_STATS: PerCpuArray<DropCounters, 1> = PerCpuArray::new();
#[btf_map]
static CONNECTIONS: Array<TableValue, 1, MMAPABLE> = Array::new();
#[btf_map]
static FLOW_STATS: PerCpuArray<FlowCounters, 64> = PerCpuArray::new();
#[btf_map]
static SHARED: Array<Shared, 64> = Array::new();
/// Notes of first fragments; not pinned: none is worth a second.
#[btf_map]
static FRAGMENTS: LruHashMap<u64, u64, FRAGMENT_NOTES> = LruHashMap::new();
/// From one function of the program to the next.
#[btf_map]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();
/// How often senders were told that packets do not fit.
#[btf_map]
static ANSWERS: PerCpuArray<AnswerCount, 1> = PerCpuArray::new();
/// Only written by the agent; here so that they are made with their BTF.
#[btf_map]
static SERVICES: Array<ServiceDescription, 64> = Array::new();
#[btf_map]
static BACKENDS: Array<BackendDescription, 256> = Array::new();
/// Interface index → interface, for what leaves by another interface than it came in.
#[btf_map]
static DEVICES: DevMapHash<{ 4 * MAX_INTERFACES }> = DevMapHash::new();

/// Length of the arena's value, bytes; set by the agent before loading, a constant to the verifier.
#[unsafe(no_mangle)]
static ARENA_LENGTH: u32 = DEFAULT_ARENA as u32;

/// Length of the connection table, a power of two, less a set: what an offset of a set may be.
#[unsafe(no_mangle)]
static TABLE_MASK: u32 = DEFAULT_TABLE as u32 - SET;

/// The arena, mapped by the agent.
#[derive(Clone, Copy)]
pub(crate) struct Arena {
    base: usize,
    length: u32,
}

impl Arena {
    /// `None` cannot happen: the map has one element.
    #[inline(always)]
    pub(crate) fn open() -> Option<Self> {
        let base = ARENA.get_ptr(0)? as usize;
        // SAFETY: a static of this program; volatile, because the loader changes its value.
        let length = unsafe { core::ptr::read_volatile(&raw const ARENA_LENGTH) };
        Some(Self { base, length })
    }

    #[inline(always)]
    fn address(&self, at: u32, size: usize) -> Option<usize> {
        let at = opaque(at);
        (at <= u64::from(self.length) - size as u64).then_some(self.base + at as usize)
    }
}

impl arena::Arena for Arena {
    #[inline(always)]
    fn view<T: Region>(&self, at: u32) -> Option<&T> {
        let address = self.address(at & !7, size_of::<T>())?;
        // SAFETY: within the value by `address`, aligned to 8 by the mask, any bytes are a `T`.
        // Regions are not written while they can be found.
        Some(unsafe { &*(address as *const T) })
    }

    #[inline(always)]
    fn word(&self, at: u32) -> Option<u32> {
        let address = self.address(at & !3, size_of::<u32>())?;
        // SAFETY: as in `view`; volatile, because the agent may store to it at any time.
        Some(unsafe { core::ptr::read_volatile(address as *const u32) })
    }
}

/// `value` in a register that the optimiser knows nothing about. The verifier wants the very register
/// that was compared to be the one that is added; without this, LLVM computes the sum twice and
/// compares the other one.
#[inline(always)]
pub(crate) fn opaque(value: u32) -> u64 {
    let mut value = u64::from(value);
    // SAFETY: one register moved to itself (an empty template would give two source lines one
    // address, which the kernel refuses).
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// What the program remembers.
#[derive(Clone, Copy)]
pub(crate) struct Flows {
    table: usize,
    secret: u64,
}

impl Flows {
    /// `None` cannot happen: the map has one element.
    #[inline(always)]
    pub(crate) fn open(arena: &Arena) -> Option<Self> {
        let root: &arena::Root = arena::Arena::view(arena, arena::ROOT)?;
        Some(Self {
            table: CONNECTIONS.get_ptr(0)? as usize,
            secret: root.secret,
        })
    }

    /// Address of a word.
    #[inline(always)]
    fn word(&self, at: u32) -> *mut u64 {
        // Within the value: a home is masked, and the rest is less than a set's length.
        (self.table + at as usize) as *mut u64
    }
}

impl Memory for Flows {
    #[inline(always)]
    fn secret(&self) -> u64 {
        self.secret
    }

    #[inline(always)]
    fn home(&self, random: u32) -> u32 {
        // SAFETY: as for `ARENA_LENGTH`.
        random & unsafe { core::ptr::read_volatile(&raw const TABLE_MASK) }
    }

    #[inline(always)]
    fn bounded(&self, way: u32) -> u32 {
        // SAFETY: as for `ARENA_LENGTH`.
        way & (unsafe { core::ptr::read_volatile(&raw const TABLE_MASK) } | (SET - WAY))
    }

    #[inline(always)]
    fn load(&self, at: u32) -> u64 {
        // SAFETY: within the value and aligned, see `word`; volatile, because other CPUs write.
        unsafe { core::ptr::read_volatile(self.word(at)) }
    }

    #[inline(always)]
    fn store(&self, at: u32, word: u64) {
        // SAFETY: as in `load`.
        unsafe { core::ptr::write_volatile(self.word(at), word) };
    }

    #[inline(always)]
    fn exchange(&self, at: u32, old: u64, new: u64) -> bool {
        let found: u64;
        // SAFETY: as in `load`; the instruction compares and returns in r0.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {new})",
                word = in(reg) self.word(at),
                new = in(reg) new,
                inout("r0") old => found,
                options(nostack),
            );
        }
        found == old
    }

    #[inline(always)]
    fn zero(&self) -> u32 {
        let zero: u64;
        // SAFETY: one register set.
        unsafe { core::arch::asm!("{0} = 0", out(reg) zero, options(pure, nomem, nostack)) };
        zero as u32
    }

    #[inline(always)]
    fn blurred(&self, number: u64, other: u64) -> u64 {
        let mut number = number;
        // SAFETY: registers only; twice the same is nothing, which neither compiler nor verifier sees.
        unsafe {
            core::arch::asm!(
                "{number} ^= {other}",
                "{number} ^= {other}",
                number = inout(reg) number,
                other = in(reg) other,
                options(pure, nomem, nostack),
            );
        }
        number
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        tick()
    }

    #[inline(always)]
    fn grant(&self, service: u32, budget: u32, now: u32) -> bool {
        let (Some(own), Some(shared)) =
            (FLOW_STATS.get_ptr_mut(service), SHARED.get_ptr_mut(service))
        else {
            return false;
        };
        // SAFETY: this CPU's own element; the shared one may be torn between CPUs, word by word,
        // which `grant` allows for.
        unsafe { counters::grant(&mut *own, &mut *shared, budget, now) }
    }

    #[inline(always)]
    fn turn(&self, service: u32) -> u32 {
        let Some(shared) = SHARED.get_ptr_mut(service) else {
            return 0;
        };
        let mut turn = 1u64;
        // SAFETY: `turn` is the first word of the element (asserted below); the addition is atomic.
        unsafe {
            core::arch::asm!(
                "{turn} = atomic_fetch_add((u64 *)({word} + 0), {turn})",
                word = in(reg) shared,
                turn = inout(reg) turn,
                options(nostack),
            );
        }
        turn as u32
    }

    #[inline(always)]
    fn client_host<A: arena::Arena>(&self, _: &A, client: Client) -> Option<u32> {
        match pipeline::client_host(client.tag) {
            0 => None,
            entry => Some(entry as u32),
        }
    }

    #[inline(always)]
    fn count(&self, service: u32, event: FlowEvent) {
        if let Some(counters) = FLOW_STATS.get_ptr_mut(service) {
            let words = counters.cast::<[u64; 8]>();
            // SAFETY: `FlowCounters` is eight words; this CPU's own element.
            unsafe { (*words)[event as usize & 7] += 1 };
        }
    }
}

/// The key of everything that is remembered; 0 cannot happen.
#[inline(always)]
pub(crate) fn secret() -> u64 {
    let root = Arena::open().and_then(|arena| {
        let root: &arena::Root = arena::Arena::view(&arena, arena::ROOT)?;
        Some(root.secret)
    });
    root.unwrap_or(0)
}

/// Keeps a packet for [`parsed`], on the same CPU; 0 where that cannot be done.
///
/// This and [`keep_defect`] write what there is and nothing else: as one value of [`parse::packet()`]'s
/// type, whatever the other case has would be read from a stack that was never written, which
/// kernels before 6.3 refuse.
///
/// [`parse::packet()`]: lb_common::parse::packet()
#[inline(always)]
pub(crate) fn keep_parsed(parsed: Parsed) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: large enough and aligned (asserted below); this CPU's own element.
    unsafe { *scratch.cast::<Parsed>() = parsed };
    PARSED
}

/// Keeps what is wrong with a packet for [`defect`]; 0 where that cannot be done.
#[inline(always)]
pub(crate) fn keep_defect(destination: Addr, reason: DropReason) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: as in `keep_parsed`.
    unsafe { *scratch.cast::<(Addr, DropReason)>() = (destination, reason) };
    DEFECT
}

/// What [`keep_parsed`] has kept.
#[inline(always)]
pub(crate) fn parsed() -> Option<Parsed> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: as in `keep_parsed`, which has just written it.
    let mut parsed = unsafe { *scratch.cast::<Parsed>() };
    // Bounds that hold and that the verifier has forgotten: two tags, and the extension headers.
    parsed.l3 = opaque(parsed.l3) as u32 & 0x1f;
    parsed.l4 = opaque(parsed.l4) as u32 & 0x7fff;
    Some(parsed)
}

/// What [`keep_defect`] has kept.
#[inline(always)]
pub(crate) fn defect() -> Option<(Addr, DropReason)> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: as in `keep_defect`, which has just written it.
    Some(unsafe { *scratch.cast::<(Addr, DropReason)>() })
}

/// [`parsed`] has something.
pub(crate) const PARSED: u32 = 1;
/// [`defect`] has something.
pub(crate) const DEFECT: u32 = 2;

const _: () = assert!(size_of::<Parsed>() <= size_of::<Scratch>());
const _: () = assert!(align_of::<Parsed>() <= align_of::<Scratch>());
const _: () = assert!(size_of::<(Addr, DropReason)>() <= size_of::<Scratch>());
const _: () = assert!(align_of::<(Addr, DropReason)>() <= align_of::<Scratch>());

/// Notes where the fragments of a packet go. Not inlined, for what it needs of the stack.
#[inline(never)]
pub(crate) fn note_fragment(tag: u64, word: u64) {
    // Without a note the later fragments are dropped and counted.
    let (Ok(()) | Err(_)) = FRAGMENTS.insert(tag, word, 0);
}

/// Where they go, or [`NO_NOTE`]. Not inlined for the same reason.
#[inline(never)]
pub(crate) fn find_fragment(tag: u64) -> u64 {
    // SAFETY: read once; a note that another CPU replaces meanwhile is as good.
    unsafe { FRAGMENTS.get(tag).copied() }.unwrap_or(NO_NOTE)
}

/// No note: there are not so many services.
pub(crate) const NO_NOTE: u64 = u64::MAX - 1;

/// Whether another answer may be given now; it is counted as given.
#[inline(always)]
pub(crate) fn may_answer() -> bool {
    let Some(answers) = ANSWERS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: this CPU's own element.
    let answers = unsafe { &mut *answers };
    let now = tick();
    if answers.tick != now {
        answers.tick = now;
        answers.count = 0;
    }
    if answers.count >= ANSWERS_PER_TICK {
        return false;
    }
    answers.count += 1;
    true
}

/// The time in ticks. CLOCK_MONOTONIC_COARSE: a tenth of the exact clock's price, and a tick of the
/// scheduler late at most.
#[inline(always)]
fn tick() -> u32 {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    (now >> TICK_SHIFT) as u32
}

const _: () = assert!(core::mem::offset_of!(Shared, turn) == 0);
const _: () = assert!(size_of::<FlowCounters>() == size_of::<[u64; 8]>());

/// Index of the interface a frame came in by.
#[inline(always)]
pub(crate) fn ingress(ctx: &XdpContext) -> u32 {
    // SAFETY: the kernel passes a valid `xdp_md`, and the verifier checks the access.
    unsafe { (*ctx.ctx).ingress_ifindex }
}

/// Counts a packet for its service and its backend.
#[inline(always)]
pub(crate) fn count_forward(service: u32, backend: u32, bytes: u32, new_flow: bool) {
    add(SERVICE_STATS.get_ptr_mut(service), bytes, new_flow);
    add(BACKEND_STATS.get_ptr_mut(backend), bytes, new_flow);
}

#[inline(always)]
fn add(counters: Option<*mut TrafficCounters>, bytes: u32, new_flow: bool) {
    let Some(counters) = counters else { return };
    // SAFETY: this CPU's own element, and the program is not re-entered on a CPU.
    let counters = unsafe { &mut *counters };
    counters.packets += 1;
    counters.bytes += u64::from(bytes);
    counters.new_flows += u64::from(new_flow);
}

/// Counts a dropped packet.
#[inline(always)]
pub(crate) fn count_drop(reason: DropReason) {
    if let Some(counters) = DROP_STATS.get_ptr_mut(0) {
        let words = counters.cast::<[u64; DROP_WORDS]>();
        // Opaque, because the compiler knows that no reason is larger and leaves the mask out, and the
        // verifier does not know it.
        let word = opaque(reason as u32) as usize & (DROP_WORDS - 1);
        // SAFETY: `DropCounters` is these words (asserted beside it); this CPU's own element.
        unsafe { (*words)[word] += 1 };
    }
}

/// Sends the frame out by another interface; the lower bits of the flags are what the kernel returns
/// where the interface is not in the map.
#[inline(always)]
pub(crate) fn redirect(ifindex: u32) -> Option<u32> {
    DEVICES
        .redirect(ifindex, xdp_action::XDP_ABORTED.into())
        .ok()
}
