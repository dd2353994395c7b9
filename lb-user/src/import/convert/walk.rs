//! One walk over a block: every keyword is taken, known to be unnecessary, known to have no equal, or unknown; nothing goes unsaid.

use super::{Cx, Statement};
use crate::import::finding::{nearest, quote};

/// What a block may hold.
pub(super) struct Grammar<T: 'static> {
    /// What has an equal.
    pub(super) takes: &'static [Row<T>],
    /// Old names, and what they are called now.
    pub(super) old: &'static [(&'static str, &'static str)],
    /// What has none, and what Ballast does instead.
    pub(super) without: &'static [(&'static str, &'static str)],
    /// What Ballast does without being told.
    pub(super) same: &'static [&'static str],
}

/// A keyword that has an equal.
pub(super) struct Row<T: 'static> {
    word: &'static str,
    shape: Shape,
    /// How many words follow it.
    args: (usize, usize),
    take: Take<T>,
}

type Take<T> = fn(&mut T, &Statement, &mut Cx<'_>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Line,
    Block,
    Either,
}

/// A keyword with `least` to `most` words behind it.
pub(super) const fn line<T>(
    word: &'static str,
    least: usize,
    most: usize,
    take: Take<T>,
) -> Row<T> {
    let (shape, args) = (Shape::Line, (least, most));
    Row {
        word,
        shape,
        args,
        take,
    }
}

/// A keyword with words and a block behind it.
pub(super) const fn block<T>(
    word: &'static str,
    least: usize,
    most: usize,
    take: Take<T>,
) -> Row<T> {
    let (shape, args) = (Shape::Block, (least, most));
    Row {
        word,
        shape,
        args,
        take,
    }
}

/// A keyword whose block may be missing.
pub(super) const fn either<T>(
    word: &'static str,
    least: usize,
    most: usize,
    take: Take<T>,
) -> Row<T> {
    let (shape, args) = (Shape::Either, (least, most));
    Row {
        word,
        shape,
        args,
        take,
    }
}

/// Any number of words.
pub(super) const ANY: usize = usize::MAX;

/// Whether a block can be used.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Several statements were in one line: which of them were meant is a guess.
    pub(super) broken: bool,
}

impl<T> Grammar<T> {
    /// Takes a block's statements into `target`.
    pub(super) fn walk(&self, body: &[Statement], target: &mut T, cx: &mut Cx<'_>) -> Walked {
        let mut walked = Walked::default();
        for statement in body {
            walked.broken |= !self.statement(statement, target, cx);
        }
        walked
    }

    /// Whether the block may hold such a keyword.
    pub(super) fn knows(&self, word: &str) -> bool {
        self.words().any(|known| known == word) || self.old.iter().any(|(old, _)| *old == word)
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        let takes = self.takes.iter().map(|r| r.word);
        let without = self.without.iter().map(|(word, _)| *word);
        takes.chain(without).chain(self.same.iter().copied())
    }

    fn statement(&self, s: &Statement, target: &mut T, cx: &mut Cx<'_>) -> bool {
        let word = self.current_name(s, cx);
        if let Some(row) = self.takes.iter().find(|row| row.word == word) {
            if self.crowded(s, row.args.0, cx) {
                return false;
            }
            if row.fits(s, cx) {
                (row.take)(target, s, cx);
            }
            return true;
        }
        if self.crowded(s, 1, cx) {
            return false;
        }
        if let Some((_, instead)) = self.without.iter().find(|(known, _)| *known == word) {
            cx.warn(&s.at, format!("{} has no equal: {instead}", quote(word)));
        } else if !self.same.contains(&word) {
            self.unknown(s, cx);
        }
        true
    }

    fn current_name<'s>(&self, s: &'s Statement, cx: &mut Cx<'_>) -> &'s str
    where
        'static: 's,
    {
        match self.old.iter().find(|(old, _)| *old == s.keyword()) {
            None => s.keyword(),
            Some((old, new)) => {
                cx.warn(
                    &s.at,
                    format!("`{old}` is an old name of `{new}`: taken as that"),
                );
                new
            }
        }
    }

    /// Whether a second keyword is in the line, where no more than values can be.
    fn crowded(&self, s: &Statement, least: usize, cx: &mut Cx<'_>) -> bool {
        let second = s
            .args()
            .iter()
            .skip(least)
            .find(|word| self.takes.iter().any(|r| r.word == **word));
        if let Some(second) = second {
            let message = format!(
                "several statements in one line: {} is followed by {}, and a statement ends at a line break or a brace: put each into a line of its own",
                quote(s.keyword()),
                quote(second)
            );
            cx.error(&s.at, message);
        }
        second.is_some()
    }

    fn unknown(&self, s: &Statement, cx: &mut Cx<'_>) {
        let hint = nearest(s.keyword(), self.words())
            .map_or_else(String::new, |k| format!(", did you mean `{k}`?"));
        let block = if s.block.is_some() {
            " with its block"
        } else {
            ""
        };
        cx.warn(
            &s.at,
            format!(
                "unknown keyword {}{hint}: left out{block}",
                quote(s.keyword())
            ),
        );
    }
}

impl<T> Row<T> {
    /// Whether the statement has the shape that its keyword needs; reports what has to be left out.
    fn fits(&self, s: &Statement, cx: &mut Cx<'_>) -> bool {
        let (least, most) = self.args;
        match (self.shape, &s.block) {
            (Shape::Line, Some(_)) => {
                cx.warn(
                    &s.at,
                    format!("`{}` takes no block: the block is left out", self.word),
                );
            }
            (Shape::Block, None) => {
                cx.error(
                    &s.at,
                    format!("{} has no block `{{ … }}`: left out", s.quoted()),
                );
                return false;
            }
            _ => {}
        }
        if s.args().len() < least {
            cx.warn(&s.at, format!("`{}` says nothing: left out", self.word));
            return false;
        }
        if let Some(extra) = s.args().get(most..).filter(|extra| !extra.is_empty()) {
            let extra = quote(&extra.join(" "));
            cx.warn(
                &s.at,
                format!("{extra} behind `{}` means nothing: left out", self.word),
            );
        }
        true
    }
}
