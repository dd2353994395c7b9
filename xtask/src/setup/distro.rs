//! Which distribution this is, from `os-release(5)`.

use std::fs;

/// What decides package names and where packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Distro {
    /// Debian itself, with its release's name (`bookworm`; empty where the file has none).
    Debian {
        /// `VERSION_CODENAME`.
        codename: String,
    },
    /// Ubuntu, or something built on it.
    Ubuntu,
    /// Built on Debian: its package names, not its archive.
    DebianLike,
    /// Anything else, by its own name.
    Other(String),
}

impl Distro {
    /// This machine's.
    pub(crate) fn current() -> Self {
        let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
        Self::parse(&text)
    }

    /// Debian's release; empty where this is something else.
    pub(crate) fn codename(&self) -> &str {
        match self {
            Self::Debian { codename } => codename,
            _ => "",
        }
    }

    fn parse(os_release: &str) -> Self {
        let field = |name: &str| {
            let line = os_release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default()
                .trim()
                .trim_matches(['"', '\''])
                .to_owned()
        };
        let id = field("ID");
        let likes = format!("{id} {}", field("ID_LIKE"));
        let like = |name| likes.split_whitespace().any(|word| word == name);
        match id.as_str() {
            "debian" => Self::Debian {
                codename: field("VERSION_CODENAME"),
            },
            _ if like("ubuntu") => Self::Ubuntu,
            _ if like("debian") => Self::DebianLike,
            _ => Self::Other(field("PRETTY_NAME")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_told_from_what_is_built_on_it() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n\
                      VERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(
            Distro::parse(debian),
            Distro::Debian {
                codename: "bookworm".into()
            }
        );
        assert_eq!(Distro::parse("ID=ubuntu\nID_LIKE=debian\n"), Distro::Ubuntu);
        assert_eq!(
            Distro::parse("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
            Distro::Ubuntu
        );
        assert_eq!(
            Distro::parse("ID=raspbian\nID_LIKE=debian\n"),
            Distro::DebianLike
        );
        let fedora = "ID=fedora\nPRETTY_NAME=\"Fedora Linux 42\"\n";
        assert_eq!(
            Distro::parse(fedora),
            Distro::Other("Fedora Linux 42".into())
        );
    }
}
