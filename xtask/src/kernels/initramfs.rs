//! The file system of a guest: the programs with their libraries, the modules, and the first process.

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use ebpf_build::find_program;

use super::programs::Programs;
use crate::process::execute;

/// The first process.
const INIT: &str = include_str!("init.sh");
/// The modules that namespaces with cables, and programs at TC, need beside the kernel. None of them needs another.
const MODULES: [&str; 3] = ["veth", "sch_ingress", "cls_bpf"];
/// The folders that the first process expects.
const FOLDERS: [&str; 6] = ["bin", "dev", "modules", "proc", "sys", "tmp"];

/// Puts everything together in the folder `root`, and packs it beside it.
pub(super) fn build(root: &Path, busybox: &Path, kernel: &Path, programs: &Programs) -> Result<PathBuf> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("{} cannot be removed", root.display()))?;
    }
    for folder in FOLDERS {
        make(&root.join(folder))?;
    }
    write(&root.join("init"), INIT)?;
    copy(busybox, &root.join("bin/busybox"))?;
    let tc = find_program("tc").context("there is no tc")?;
    copy(&tc, &root.join("bin/tc"))?;
    strip(&programs.tests, &root.join("kernel-tests"))?;
    let tracer = inside(root, &programs.tracer)?;
    strip(&programs.tracer, &tracer)?;
    symlink(&programs.tracer, root.join("tracer")).context("tracer cannot be linked")?;
    for program in [&tc, &programs.tests, &programs.tracer] {
        libraries(program, root)?;
    }
    for module in MODULES {
        add_module(module, kernel, &root.join("modules"))?;
    }
    pack(root, busybox)
}

/// The libraries that `program` is linked to, at the same place.
fn libraries(program: &Path, root: &Path) -> Result<()> {
    let told = Command::new("ldd").arg(program).output().context("ldd cannot be started")?;
    let told = String::from_utf8_lossy(&told.stdout);
    for library in told.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), &inside(root, Path::new(library))?)?;
    }
    Ok(())
}

/// Adds a module, unpacked, unless it is part of the kernel.
fn add_module(name: &str, kernel: &Path, folder: &Path) -> Result<()> {
    let found = Command::new("find").arg(kernel).args(["-name", &format!("{name}.ko*")]).output();
    let found = String::from_utf8(found.context("find cannot be started")?.stdout)?;
    let Some(module) = found.lines().next() else {
        // The kernel lists what is built in.
        let builtin = Command::new("grep").args(["-rqs", &format!("/{name}.ko$")]).arg(kernel).status()?;
        ensure!(builtin.success(), "{} has no module {name}", kernel.display());
        return Ok(());
    };
    let target = folder.join(format!("{name}.ko"));
    if module.ends_with(".xz") {
        let file = File::create(&target).with_context(|| format!("{} cannot be made", target.display()))?;
        return execute(Command::new("xz").args(["--decompress", "--stdout", module]).stdout(file));
    }
    copy(Path::new(module), &target)
}

/// Packs the folder in the format that kernels unpack.
fn pack(root: &Path, busybox: &Path) -> Result<PathBuf> {
    let archive = root.with_extension("cpio");
    let mut find = Command::new("find");
    let mut names =
        find.arg(".").current_dir(root).stdout(Stdio::piped()).spawn().context("find cannot be started")?;
    let file = File::create(&archive).with_context(|| format!("{} cannot be made", archive.display()))?;
    let mut cpio = Command::new(busybox);
    cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(root).stdout(file).stderr(Stdio::null());
    cpio.stdin(names.stdout.take().context("find has no output")?);
    execute(&mut cpio)?;
    ensure!(names.wait()?.success(), "{} cannot be listed", root.display());
    Ok(archive)
}

/// Where `path` is in the guest; its folder is made.
fn inside(root: &Path, path: &Path) -> Result<PathBuf> {
    let inside = root.join(path.strip_prefix("/").unwrap_or(path));
    make(inside.parent().unwrap_or(root))?;
    Ok(inside)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to);
    copied.map(drop).with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))
}

/// Copies a program without what only a debugger reads: guests have it all in memory.
fn strip(from: &Path, to: &Path) -> Result<()> {
    execute(Command::new("strip").arg("-o").args([to, from]))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written =
        fs::write(path, text).and_then(|()| fs::set_permissions(path, PermissionsExt::from_mode(0o755)));
    written.with_context(|| format!("{} cannot be written", path.display()))
}
