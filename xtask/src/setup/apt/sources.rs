//! Reads apt's source lists (sources.list(5), both formats) as far as it takes to find the
//! machine's Debian mirror and its keyring.

use std::{fs, path::Path};

/// A Debian archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The archive's root.
    uri: String,
    /// What signs it: a keyring's path, or the key itself on continuation lines; `None` leaves
    /// it to apt's trusted keys.
    signed_by: Option<String>,
}

impl Source {
    /// The first archive in `apt_dir` (`/etc/apt`) that carries the release `codename` itself;
    /// Debian's own mirror where there is none. A third party's archive has other suites.
    pub(super) fn of_machine(apt_dir: &Path, codename: &str) -> Self {
        let mut files = vec![apt_dir.join("sources.list")];
        let parts = fs::read_dir(apt_dir.join("sources.list.d"))
            .into_iter()
            .flatten();
        let mut parts: Vec<_> = parts.filter_map(|entry| Some(entry.ok()?.path())).collect();
        parts.sort();
        files.append(&mut parts);
        let found = files.iter().find_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            match path.extension()?.to_str()? {
                "sources" => parse_deb822(&text, codename),
                "list" => parse_one_line(&text, codename),
                _ => None,
            }
        });
        let mut source = found.unwrap_or_else(|| Self {
            uri: DEBIAN_MIRROR.to_owned(),
            signed_by: None,
        });
        if source.signed_by.is_none() && Path::new(DEBIAN_KEYRING).exists() {
            source.signed_by = Some(DEBIAN_KEYRING.to_owned());
        }
        source
    }

    /// A sources file with nothing but `suite` of this archive.
    pub(super) fn stanza(&self, suite: &str) -> String {
        let uri = &self.uri;
        let mut text = format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n");
        if let Some(key) = &self.signed_by {
            text.push_str(&format!("Signed-By: {key}\n"));
        }
        text
    }
}

/// The format of `.sources` files.
fn parse_deb822(text: &str, codename: &str) -> Option<Source> {
    let stanzas = split_stanzas(text);
    stanzas.iter().find_map(|stanza| {
        let words = |name| stanza.get(name).unwrap_or_default().split_whitespace();
        let off = stanza
            .get("Enabled")
            .is_some_and(|value| value.trim() == "no");
        let fits = !off
            && words("Types").any(|word| word == "deb")
            && words("Suites").any(|word| word == codename)
            && words("Components").any(|word| word == "main");
        let uri = words("URIs").next().filter(|_| fits)?.to_owned();
        Some(Source {
            uri,
            signed_by: stanza.get("Signed-By").map(str::to_owned),
        })
    })
}

/// Fields of one stanza, in order; a value keeps its continuation lines, as written.
struct Stanza(Vec<(String, String)>);

impl Stanza {
    fn get(&self, name: &str) -> Option<&str> {
        let field = self
            .0
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }
}

fn split_stanzas(text: &str) -> Vec<Stanza> {
    let mut stanzas = vec![Stanza(Vec::new())];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields = &mut stanzas
            .last_mut()
            .expect("starts with one and only grows")
            .0;
        if line.trim().is_empty() {
            stanzas.push(Stanza(Vec::new()));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    stanzas
}

/// The format of `.list` files: `deb [signed-by=KEYRING …] URI SUITE COMPONENT…`.
fn parse_one_line(text: &str, codename: &str) -> Option<Source> {
    text.lines().find_map(|line| {
        let rest = line
            .trim()
            .strip_prefix("deb")?
            .strip_prefix([' ', '\t'])?
            .trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split('#').next()?.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let fits = suite == codename && words.any(|word| word == "main");
        let signed_by = options
            .split_whitespace()
            .find_map(|word| word.strip_prefix("signed-by="));
        fits.then(|| Source {
            uri: uri.to_owned(),
            signed_by: signed_by.map(str::to_owned),
        })
    })
}

const DEBIAN_MIRROR: &str = "http://deb.debian.org/debian";
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

#[cfg(test)]
mod tests;
