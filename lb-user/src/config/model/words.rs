//! Enums whose variants are words of the file: one table gives reading, printing and the list of what is allowed.

use std::fmt;

/// An enum that is written as one word.
pub trait Word: Copy + Eq + fmt::Debug + 'static {
    /// Every variant beside its word, in the order in which the documentation lists them.
    const WORDS: &'static [(&'static str, Self)];

    /// The word of this variant.
    #[must_use]
    fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, variant)| *variant == self)
            .map_or("?", |(word, _)| word)
    }
}

/// Defines a [`Word`] enum.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $crate::config::model::Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::config::model::Word::word(*self))
            }
        }
    )+};
}
pub(super) use words;
