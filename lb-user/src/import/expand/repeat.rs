//! `~SEQ(…)` and `~LST(…)`: a line once for each of several values.

use super::is_name;

/// A line that stands for several.
pub(super) struct Repeat<'a> {
    pub(super) names: Vec<String>,
    /// One for each name, as often as the line is meant.
    pub(super) values: Vec<Vec<String>>,
    /// What is repeated.
    pub(super) rest: &'a str,
}

/// The repetition that a line begins with, or what is wrong with it; `None`: it begins with none.
pub(super) fn of(code: &str) -> Option<Result<Repeat<'_>, String>> {
    let (kind, list) = KINDS
        .iter()
        .find_map(|(word, kind)| Some((kind, code.strip_prefix(word)?)))?;
    let Some((inside, rest)) = list.split_once(')') else {
        return Some(Err("`~SEQ` or `~LST` without its `)`".to_owned()));
    };
    let rest = rest.trim_start();
    let read = match kind {
        Kind::List => list_values(inside),
        Kind::Decimal => sequence(inside, false),
        Kind::Hexadecimal => sequence(inside, true),
    };
    Some(read.map(|(names, values)| Repeat {
        names,
        values,
        rest,
    }))
}

enum Kind {
    Decimal,
    Hexadecimal,
    List,
}

const KINDS: [(&str, Kind); 3] = [
    ("~SEQx(", Kind::Hexadecimal),
    ("~SEQ(", Kind::Decimal),
    ("~LST(", Kind::List),
];

type Values = (Vec<String>, Vec<Vec<String>>);

fn sequence(inside: &str, hexadecimal: bool) -> Result<Values, String> {
    let wrong = || format!("`~SEQ({inside})` is no sequence like `~SEQ(NAME, 1, 3)`");
    let mut parts = inside.split(',').map(str::trim);
    let name = parts
        .next()
        .filter(|name| is_name(name))
        .ok_or_else(wrong)?;
    let numbers: Vec<i64> = parts.map(number).collect::<Option<_>>().ok_or_else(wrong)?;
    let toward = |end: i64| if end > 0 { 1 } else { -1 };
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (toward(end), toward(end), end),
        [start, end] => (start, if end >= start { 1 } else { -1 }, end),
        [start, step, end] => (start, step, end),
        _ => return Err(wrong()),
    };
    if step == 0 {
        return Err(wrong());
    }
    let mut values = Vec::new();
    let mut at = start;
    while if step > 0 { at <= end } else { at >= end } {
        if values.len() >= MOST {
            return Err(format!("`~SEQ({inside})` is longer than {MOST}"));
        }
        values.push(vec![if hexadecimal {
            format!("{at:x}")
        } else {
            at.to_string()
        }]);
        at = at.checked_add(step).ok_or_else(wrong)?;
    }
    Ok((vec![name.to_owned()], values))
}

fn number(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * number)
}

fn list_values(inside: &str) -> Result<Values, String> {
    let wrong = || format!("`~LST({inside})` is no list like `~LST(NAME, a, b)`");
    let mut groups = groups(inside).into_iter();
    let names = groups
        .next()
        .filter(|names| names.iter().all(|n| is_name(n)))
        .ok_or_else(wrong)?;
    let values: Vec<Vec<String>> = groups.collect();
    if values.is_empty() || values.iter().any(|v| v.len() != names.len()) {
        return Err(wrong());
    }
    Ok((names, values))
}

/// `a, {b, c}` to `[[a], [b, c]]`.
fn groups(text: &str) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let (group, after) = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            Some((inside, after)) => {
                let items = inside.split(',').map(|s| s.trim().to_owned()).collect();
                (items, after.trim_start().strip_prefix(','))
            }
            None => {
                let (item, after) = rest
                    .split_once(',')
                    .map_or((rest, None), |(i, a)| (i, Some(a)));
                (vec![item.trim().to_owned()], after)
            }
        };
        groups.push(group);
        match after {
            Some(after) => rest = after,
            None => return groups,
        }
    }
}

/// Values of one sequence.
const MOST: usize = 65_536;
