//! Finds bpf-linker and the LLVM release it was built with.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use crate::program::find_programs;

/// A bpf-linker on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linker {
    /// The path of the program.
    pub path: PathBuf,
    /// The major version of the LLVM library that it loads; unknown if LLVM is linked statically.
    pub llvm: Option<u32>,
}

impl Linker {
    /// Finds the linkers on `PATH` and in cargo's bin folder, which may not be on `PATH`.
    pub fn find_all() -> Vec<Self> {
        let mut paths: Vec<PathBuf> = find_programs("bpf-linker").collect();
        paths.extend(cargo_bin().map(|folder| folder.join("bpf-linker")).filter(|path| path.is_file()));
        paths.into_iter().map(Self::inspect).collect()
    }

    /// Whether it reads the bitcode of a compiler with this LLVM release. LLVM reads the bitcode of
    /// older releases, but not of newer ones. A linker with an unknown LLVM release is assumed to
    /// match; if it does not, the build fails.
    pub fn reads(&self, compiler_llvm: u32) -> bool {
        self.llvm.is_none_or(|llvm| llvm >= compiler_llvm)
    }

    fn inspect(path: PathBuf) -> Self {
        // bpf-linker does not print its LLVM release; the name of the library that it loads has it.
        let llvm = fs::read(&path).ok().and_then(|bytes| loaded_llvm(&bytes));
        Self { path, llvm }
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.llvm {
            Some(llvm) => write!(f, " (LLVM {llvm})"),
            None => Ok(()),
        }
    }
}

/// The folder of programs installed by `cargo install`.
fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin"))
}

/// The major version in the name of the LLVM library that a program loads: `libLLVM.so.22.1`, or in
/// older distributions `libLLVM-18.so.1`.
fn loaded_llvm(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"libLLVM";
    let names = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    names.map(|(start, _)| &program[start + NAME.len()..]).find_map(|rest| {
        let digits = rest.strip_prefix(b".so.").or_else(|| rest.strip_prefix(b"-"))?;
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        str::from_utf8(&digits[..length]).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_release_is_parsed_from_the_name_of_the_loaded_library() {
        let rows: [(&[u8], Option<u32>); 5] = [
            (b"\x7fELF\0libc.so.6\0libLLVM.so.22.1\0", Some(22)),
            (b"\x7fELF\0libLLVM-18.so.1\0", Some(18)),
            (b"\x7fELF\0libLLVM is named in a message\0libLLVM.so.21\0", Some(21)),
            (b"\x7fELF\0libLLVM.so\0", None),
            (b"libLLVM", None),
        ];
        for (program, expected) in rows {
            assert_eq!(loaded_llvm(program), expected, "{:?}", String::from_utf8_lossy(program));
        }
    }

    #[test]
    fn a_linker_reads_the_bitcode_of_its_own_and_older_llvm_releases() {
        let linker = |llvm| Linker { path: PathBuf::from("bpf-linker"), llvm };
        assert!(linker(Some(22)).reads(22));
        assert!(linker(Some(23)).reads(22));
        assert!(!linker(Some(21)).reads(22));
        assert!(linker(None).reads(22));
    }
}
