//! Who was master when, as a picture in text. Pure.

use std::time::Duration;

/// What is drawn, times in nanoseconds of one clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// Drawn from here on.
    pub(super) start: u64,
    /// One column.
    pub(super) column: Duration,
    /// How many of them.
    pub(super) columns: usize,
    /// When something happened.
    pub(super) event: u64,
    /// Name of each balancer, when it sent adverts, and when it forwarded probes.
    pub(super) balancers: Vec<(String, Vec<u64>, Vec<u64>)>,
    /// When answers came.
    pub(super) answers: Vec<u64>,
}

impl Scene {
    /// One line for the event, two for each balancer, one for the client.
    pub(super) fn draw(&self) -> Vec<String> {
        let mut event = vec![' '; self.columns];
        if let Some(at) = self.column_of(self.event) {
            event[at] = 'v';
        }
        let mut lines = vec![line("", event)];
        for (name, adverts, forwarded) in &self.balancers {
            lines.push(line(&format!("{name} adverts"), self.marks(adverts, 'A')));
            lines.push(line(
                &format!("{name} forwards"),
                self.marks(forwarded, '#'),
            ));
        }
        lines.push(line("client hears", self.marks(&self.answers, '|')));
        lines
    }

    fn marks(&self, times: &[u64], mark: char) -> Vec<char> {
        let mut row = vec!['.'; self.columns];
        for at in times.iter().filter_map(|time| self.column_of(*time)) {
            row[at] = mark;
        }
        row
    }

    fn column_of(&self, time: u64) -> Option<usize> {
        let width = u64::try_from(self.column.as_nanos()).ok()?;
        let column = time.checked_sub(self.start)?.checked_div(width)?;
        usize::try_from(column).ok().filter(|at| *at < self.columns)
    }
}

fn line(name: &str, row: Vec<char>) -> String {
    let row: String = row.into_iter().collect();
    format!("{name:13} {row}").trim_end().to_owned()
}

#[cfg(test)]
mod tests;
