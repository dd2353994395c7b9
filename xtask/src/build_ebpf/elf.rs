//! Counts what is in a BPF object.
//!
//! Instruction layout: the kernel's `include/uapi/linux/bpf.h`, `struct bpf_insn`.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use object::{
    Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind,
};

/// The code of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    sections: Vec<Section>,
}

/// One section of code: a program type's, or `.text`, whose functions the programs call.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    name: String,
    /// Names and sizes in instructions.
    functions: Vec<(String, usize)>,
    code: Code,
}

/// Counts in a run of instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Code {
    /// In slots of 8 bytes, as the kernel counts: loading a 64-bit value takes two.
    instructions: usize,
    /// Calls of the kernel's helpers.
    helper_calls: usize,
    /// Calls of our own functions that were not inlined.
    bpf_calls: usize,
}

impl Summary {
    /// # Errors
    /// `bytes` is not an ELF object for BPF, or its sections do not hold whole instructions.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let file = object::File::parse(bytes).context("cannot read it as ELF")?;
        ensure!(
            file.architecture() == Architecture::Bpf,
            "built for {:?}",
            file.architecture()
        );
        let mut sections = Vec::new();
        for section in file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
        {
            let name = section.name().context("a section has no name")?.to_owned();
            let data = section
                .data()
                .with_context(|| format!("cannot read section {name}"))?;
            let symbols = file.symbols().filter(|symbol| {
                symbol.kind() == SymbolKind::Text && symbol.section_index() == Some(section.index())
            });
            let functions = symbols.filter_map(|symbol| {
                let instructions = usize::try_from(symbol.size()).ok()? / INSTRUCTION;
                Some((symbol.name().ok()?.to_owned(), instructions))
            });
            let functions = functions.collect();
            let code = Code::count(data).with_context(|| format!("in section {name}"))?;
            if code.instructions > 0 {
                sections.push(Section {
                    name,
                    functions,
                    code,
                });
            }
        }
        Ok(Self { sections })
    }
}

impl Code {
    fn count(code: &[u8]) -> Result<Self> {
        let (slots, rest) = code.as_chunks::<INSTRUCTION>();
        ensure!(
            rest.is_empty(),
            "{} bytes are not whole instructions",
            code.len()
        );
        let mut counted = Self {
            instructions: slots.len(),
            ..Self::default()
        };
        // The second slot of a 64-bit load has opcode 0, so slots can be looked at one by one.
        for &[opcode, registers, ..] in slots {
            // Destination in the low half, source in the high one, little-endian (bpfel).
            match (opcode, registers >> 4) {
                (CALL, 0) => counted.helper_calls += 1,
                (CALL, PSEUDO_CALL) => counted.bpf_calls += 1,
                _ => {}
            }
        }
        Ok(counted)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<40} {:>12} {:>12} {:>10}",
            "", "instructions", "helper calls", "BPF calls"
        )?;
        for Section {
            name,
            functions,
            code,
        } in &self.sections
        {
            let Code {
                instructions,
                helper_calls,
                bpf_calls,
            } = code;
            writeln!(
                f,
                "  {name:<40} {instructions:>12} {helper_calls:>12} {bpf_calls:>10}"
            )?;
            for (function, instructions) in functions {
                writeln!(f, "    {function:<38} {instructions:>12}")?;
            }
        }
        Ok(())
    }
}

/// `sizeof(struct bpf_insn)`.
const INSTRUCTION: usize = 8;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_CALL`, as the source register of a call within the object.
const PSEUDO_CALL: u8 = 1;

#[cfg(test)]
mod tests;
