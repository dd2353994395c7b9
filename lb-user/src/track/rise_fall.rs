//! How many results in a row it takes to change one's mind.

/// Results come in, a verdict comes out: bad after `fall` bad ones in a row, good after `rise` good ones. The first result of all
/// decides alone: knowing nothing helps nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiseFall {
    rise: u32,
    fall: u32,
    verdict: Option<bool>,
    /// The last result.
    last: bool,
    /// How many in a row were like the last.
    streak: u32,
}

impl RiseFall {
    /// Without a verdict. Zero counts as one.
    #[must_use]
    pub fn new(rise: u32, fall: u32) -> Self {
        Self {
            rise: rise.max(1),
            fall: fall.max(1),
            verdict: None,
            last: false,
            streak: 0,
        }
    }

    /// With a verdict from elsewhere, which holds until results in a row say otherwise.
    #[must_use]
    pub fn with_verdict(rise: u32, fall: u32, good: bool) -> Self {
        Self {
            verdict: Some(good),
            ..Self::new(rise, fall)
        }
    }

    /// Takes other limits; verdict and results stay.
    pub fn set_limits(&mut self, rise: u32, fall: u32) {
        self.rise = rise.max(1);
        self.fall = fall.max(1);
    }

    /// Takes a result. The verdict, if this changed it.
    pub fn record(&mut self, good: bool) -> Option<bool> {
        self.streak = if self.streak > 0 && self.last == good {
            self.streak.saturating_add(1)
        } else {
            1
        };
        self.last = good;
        let changed = match self.verdict {
            None => true,
            Some(verdict) => verdict != good && self.streak >= self.needed(good),
        };
        changed.then(|| {
            self.verdict = Some(good);
            good
        })
    }

    /// What holds; `None` before the first result.
    #[must_use]
    pub fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// The last result, and how many in a row were like it; `None` before the first.
    #[must_use]
    pub fn streak(&self) -> Option<(bool, u32)> {
        (self.streak > 0).then_some((self.last, self.streak))
    }

    /// While results are against the verdict: how many there were in a row, and how many it takes.
    #[must_use]
    pub fn doubt(&self) -> Option<(u32, u32)> {
        let doubted = self.streak > 0 && self.verdict == Some(!self.last);
        doubted.then(|| (self.streak, self.needed(self.last)))
    }

    fn needed(&self, good: bool) -> u32 {
        if good { self.rise } else { self.fall }
    }
}

#[cfg(test)]
mod tests;
