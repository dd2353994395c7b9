//! Internet checksums: full (RFC 1071) and incremental (RFC 1624).
//!
//! Sums are over 16-bit words as loaded natively: one's complement sums come out right in either
//! byte order as long as the result is stored the way the words were loaded (RFC 1071 §2(B)).

/// Folds a 32-bit sum of 16-bit words to 16 bits.
#[inline(always)]
#[must_use]
pub const fn fold(mut sum: u32) -> u16 {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) as u16
}

/// The checksum after one word changed (RFC 1624, equation 3): `~(~HC + ~m + m')`.
#[inline(always)]
#[must_use]
pub const fn replace(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u32 + !old as u32 + new as u32)
}

/// The checksum of a header given as natively loaded words, its checksum field as 0.
#[inline(always)]
#[must_use]
pub fn full<const N: usize>(words: [u16; N]) -> u16 {
    let mut sum = 0u32;
    let mut i = 0;
    while i < N {
        sum += words[i] as u32;
        i += 1;
    }
    !fold(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_incremental_update_equals_a_full_sum(mut words in proptest::array::uniform10(any::<u16>()), at in 0usize..10, new: u16) {
            // A header always has a word that is not zero (version and length), which is what
            // makes the two forms of zero come out the same.
            words[(at + 1) % 10] |= 0x45;
            let before = full(words);
            let old = words[at];
            words[at] = new;
            prop_assert_eq!(replace(before, old, new), full(words));
        }

        #[test]
        fn a_bad_checksum_stays_bad(words in proptest::array::uniform10(1u16..), new in 1u16.., error in 1u16..0xffff) {
            let bad = full(words) ^ error;
            let mut after = words;
            after[3] = new;
            let naive = |sum: u16| sum == full(after);
            prop_assert!(!naive(replace(bad, words[3], new)) || fold(u32::from(!bad) ) == fold(u32::from(!full(words))));
        }
    }
}
