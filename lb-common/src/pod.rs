//! Proof that a type may be a BPF map's value.

/// Implements `aya::Pod` (feature `user`) for types whose derives prove that every bit pattern is
/// valid and that there is no padding.
macro_rules! map_pod {
    ($($type:ty = $size:literal),+ $(,)?) => {$(
        const _: () = assert!(core::mem::size_of::<$type>() == $size);
        const _: () = {
            const fn proven<T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable + Copy>() {}
            proven::<$type>();
        };
        #[cfg(feature = "user")]
        // SAFETY: `proven` above: any bytes are a value, and there is no padding to leak.
        #[expect(unsafe_code, reason = "aya::Pod is an unsafe marker; the derives prove it")]
        unsafe impl aya::Pod for $type {}
    )+};
}
pub(crate) use map_pod;
