//! `*`, `?`, `[…]` and `{a,b}` in the paths of `include`, as the C library's `glob` with braces has them.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The files that a pattern stands for, sorted per alternative; one without wildcards stands for itself, there or not.
///
/// # Errors
/// The pattern has more alternatives, or stands for more files, than anybody means.
pub(super) fn files(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, &'static str> {
    let mut found = Vec::new();
    for pattern in braces(pattern).ok_or("has too many alternatives")? {
        let mut paths = vec![base.to_owned()];
        for part in Path::new(&pattern).components() {
            paths = match part {
                Component::Normal(name) => {
                    let name = name.to_string_lossy();
                    if name.contains(['*', '?', '[']) {
                        paths.iter().flat_map(|dir| matching(dir, &name)).collect()
                    } else {
                        paths.into_iter().map(|dir| dir.join(&*name)).collect()
                    }
                }
                other => paths.into_iter().map(|dir| dir.join(other)).collect(),
            };
            if paths.len() > MOST {
                return Err("stands for too many files");
            }
        }
        if pattern.contains(['*', '?', '[']) {
            paths.retain(|path| path.is_file());
        }
        found.extend(paths);
    }
    Ok(found)
}

fn matching(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let Ok(entries) = fs::read_dir(here) else {
        return Vec::new();
    };
    let pattern: Vec<char> = pattern.chars().collect();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| pattern.first() == Some(&'.') || !name.starts_with('.'))
        .filter(|name| matches(&pattern, &name.chars().collect::<Vec<_>>()))
        .collect();
    names.sort_unstable();
    names.iter().map(|name| dir.join(name)).collect()
}

/// Whether a name is what a pattern stands for. The last `*` is the only one that has to be tried again.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                again = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(_) if n < name.len() => one(&pattern[p..], name[n]),
            Some(_) => None,
            None if n == name.len() => return true,
            None => None,
        };
        match (step, again) {
            (Some(used), _) => (p, n) = (p + used, n + 1),
            (None, Some((after, at))) if at < name.len() => {
                again = Some((after, at + 1));
                (p, n) = (after, at + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How much of the pattern stands for this one character; `None`: none does.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => match class(rest, c) {
            Some((hit, used)) => hit.then_some(used + 1),
            None => (c == '[').then_some(1),
        },
        ['\\', literal, ..] => (*literal == c).then_some(2),
        [literal, ..] => (*literal == c).then_some(1),
        [] => None,
    }
}

/// Whether a character is in a class, and how long the class is; `None`: it has no end.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let start = usize::from(negated);
    // A `]` that comes first is a member.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|p| *p == ']')?;
    let mut members = &pattern[start..end];
    let mut hit = false;
    while let [low, rest @ ..] = members {
        (hit, members) = match rest {
            ['-', high, rest @ ..] => (hit || (*low..=*high).contains(&c), rest),
            rest => (hit || *low == c, rest),
        };
    }
    Some((hit != negated, end + 1))
}

/// What is meant by `{a,b}`, nested or not; a brace without its partner is itself. `None`: too much.
fn braces(pattern: &str) -> Option<Vec<String>> {
    let mut todo = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = todo.pop() {
        match first_braces(&pattern) {
            None => done.push(pattern),
            Some((before, inside, after)) => {
                let all: Vec<String> = inside
                    .iter()
                    .map(|alternative| format!("{before}{alternative}{after}"))
                    .collect();
                todo.extend(all.into_iter().rev());
            }
        }
        if todo.len() + done.len() > MOST {
            return None;
        }
    }
    Some(done)
}

fn first_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let (mut depth, mut start, mut parts) = (0, open + 1, Vec::new());
    for (at, c) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(&pattern[start..at]);
            return Some((&pattern[..open], parts, &pattern[at + 1..]));
        }
    }
    None
}

/// Alternatives of a pattern, and files it stands for.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        let of = |pattern| braces(pattern).unwrap();
        assert_eq!(of("a.conf"), ["a.conf"]);
        assert_eq!(
            of("{foo/{,cat,dog},bar}"),
            ["foo/", "foo/cat", "foo/dog", "bar"]
        );
        assert_eq!(of("a{b"), ["a{b"]);
        assert_eq!(braces(&"{a,b}".repeat(20)), None);
    }

    #[test]
    fn wildcards_match_as_in_a_shell() {
        let hit = |pattern: &str, name: &str| {
            matches(
                &pattern.chars().collect::<Vec<_>>(),
                &name.chars().collect::<Vec<_>>(),
            )
        };
        assert!(hit("*.conf", "a.conf"));
        assert!(hit("*a*b*", "xaxbx"));
        assert!(hit("v?[0-9].c[!x]", "vi1.cy"));
        assert!(!hit("v?[0-9].c[!x]", "vi1.cx"));
        assert!(hit("[]a]", "]"));
        assert!(hit("[a", "[a"));
        assert!(!hit("*.conf", "a.config"));
        assert!(!hit("a", ""));
        assert!(hit("**", ""));
        assert!(!hit(&"*a".repeat(40), &"a".repeat(39)));
    }
}
