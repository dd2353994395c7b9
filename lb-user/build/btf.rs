//! Makes text of byte arrays: bpftool prints an array as a string only if its element is called
//! `char` or is encoded as one, and Rust's `u8` is neither. One bit of the object's BTF changes; the
//! program and the layout of its maps stay as they are.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use object::{Object as _, ObjectSection as _};

/// Gives the type `u8` of an object file the encoding of a character.
pub(crate) fn bytes_are_text(path: &Path) -> anyhow::Result<()> {
    let mut file = fs::read(path)?;
    let (at, length) = object::File::parse(file.as_slice())?
        .section_by_name(".BTF")
        .and_then(|section| section.file_range())
        .context("the object has no .BTF section")?;
    let (at, length) = (usize::try_from(at)?, usize::try_from(length)?);
    let btf = file
        .get_mut(at..at + length)
        .context("a cut .BTF section")?;
    let byte = find_u8(btf).context("the object's BTF has no type `u8`")?;
    let encoding = btf.get_mut(byte..byte + 4).context("a cut type")?;
    let word = u32::from_le_bytes(encoding.try_into()?) | CHAR << 24;
    encoding.copy_from_slice(&word.to_le_bytes());
    fs::write(path, file)?;
    Ok(())
}

/// Where the integer `u8` has its encoding (Documentation/bpf/btf.rst of the kernel, 2.2).
fn find_u8(btf: &[u8]) -> anyhow::Result<usize> {
    let word = |at: usize| -> anyhow::Result<u32> {
        let bytes = btf.get(at..at + 4).context("it ends too early")?;
        Ok(u32::from_le_bytes(bytes.try_into()?))
    };
    let offset = |at: usize| -> anyhow::Result<usize> { Ok(usize::try_from(word(at)?)?) };
    ensure!(word(0)? & 0xffff == MAGIC, "it is no little-endian BTF");
    let header = offset(4)?;
    let (types, types_length) = (header + offset(8)?, offset(12)?);
    let strings = header + offset(16)?;
    let mut at = types;
    while at < types + types_length {
        let info = word(at + 4)?;
        let (kind, members) = (info >> 24 & 0x1f, usize::try_from(info & 0xffff)?);
        let name = strings + offset(at)?;
        if kind == INT
            && btf
                .get(name..)
                .is_some_and(|text| text.starts_with(b"u8\0"))
        {
            return Ok(at + 12);
        }
        at += 12
            + match kind {
                // INT, VAR, DECL_TAG
                INT | 14 | 17 => 4,
                // ARRAY
                3 => 12,
                // STRUCT, UNION, DATASEC, ENUM64
                4 | 5 | 15 | 19 => 12 * members,
                // ENUM, FUNC_PROTO
                6 | 13 => 8 * members,
                _ => 0,
            };
    }
    anyhow::bail!("it was not found")
}

const MAGIC: u32 = 0xeb9f;
const INT: u32 = 1;
/// `BTF_INT_CHAR`
const CHAR: u32 = 1 << 1;
