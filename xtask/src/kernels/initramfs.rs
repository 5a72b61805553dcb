//! Builds the file system of a guest: the init script, programs with their libraries, and kernel
//! modules.

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use ebpf_build::find_program;

use super::programs::Programs;
use crate::{
    files::{create_folder, write},
    process::{execute, output},
};

/// The init script.
const INIT: &str = include_str!("init.sh");
/// The kernel modules that veth pairs and TC programs need. They do not depend on others.
const MODULES: [&str; 3] = ["veth", "sch_ingress", "cls_bpf"];
/// The folders that the init script expects.
const FOLDERS: [&str; 6] = ["bin", "dev", "modules", "proc", "sys", "tmp"];

/// Assembles the file system in the folder `root`, and packs it into an archive next to it.
pub(super) fn build(root: &Path, busybox: &Path, kernel: &Path, programs: &Programs) -> Result<PathBuf> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("{} cannot be removed", root.display()))?;
    }
    for folder in FOLDERS {
        create_folder(&root.join(folder))?;
    }
    write(&root.join("init"), INIT)?;
    let executable = PermissionsExt::from_mode(0o755);
    fs::set_permissions(root.join("init"), executable)
        .context("the init script cannot be made executable")?;
    copy(busybox, &root.join("bin/busybox"))?;
    let tc = find_program("tc").context("tc was not found")?;
    copy(&tc, &root.join("bin/tc"))?;
    strip(&programs.tests, &root.join("kernel-tests"))?;
    let tracer = inside(root, &programs.tracer)?;
    strip(&programs.tracer, &tracer)?;
    symlink(&programs.tracer, root.join("tracer")).context("tracer cannot be linked")?;
    for program in [&tc, &programs.tests, &programs.tracer] {
        copy_libraries(program, root)?;
    }
    for module in MODULES {
        add_module(module, kernel, &root.join("modules"))?;
    }
    pack(root, busybox)
}

/// Copies the libraries that `program` is linked to, to the same paths.
fn copy_libraries(program: &Path, root: &Path) -> Result<()> {
    let libraries = output(Command::new("ldd").arg(program))?;
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), &inside(root, Path::new(library))?)?;
    }
    Ok(())
}

/// Adds a module, uncompressed, unless it is built into the kernel.
fn add_module(name: &str, kernel: &Path, folder: &Path) -> Result<()> {
    let found = output(Command::new("find").arg(kernel).args(["-name", &format!("{name}.ko*")]))?;
    let Some(module) = found.lines().next() else {
        // modules.builtin lists the modules that are built in.
        let builtin = Command::new("grep").args(["-rqs", &format!("/{name}.ko$")]).arg(kernel).status()?;
        ensure!(builtin.success(), "{} has no module {name}", kernel.display());
        return Ok(());
    };
    let target = folder.join(format!("{name}.ko"));
    if module.ends_with(".xz") {
        let file =
            File::create(&target).with_context(|| format!("{} cannot be created", target.display()))?;
        return execute(Command::new("xz").args(["--decompress", "--stdout", module]).stdout(file));
    }
    copy(Path::new(module), &target)
}

/// Packs the folder as a cpio archive, which kernels unpack.
fn pack(root: &Path, busybox: &Path) -> Result<PathBuf> {
    let archive = root.with_extension("cpio");
    let mut find = Command::new("find");
    let mut names =
        find.arg(".").current_dir(root).stdout(Stdio::piped()).spawn().context("find cannot be started")?;
    let file = File::create(&archive).with_context(|| format!("{} cannot be created", archive.display()))?;
    let mut cpio = Command::new(busybox);
    cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(root).stdout(file).stderr(Stdio::null());
    cpio.stdin(names.stdout.take().context("find has no output")?);
    execute(&mut cpio)?;
    ensure!(names.wait()?.success(), "{} cannot be listed", root.display());
    Ok(archive)
}

/// The location of `path` below `root`; creates its folder.
fn inside(root: &Path, path: &Path) -> Result<PathBuf> {
    let inside = root.join(path.strip_prefix("/").unwrap_or(path));
    create_folder(inside.parent().unwrap_or(root))?;
    Ok(inside)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to);
    copied.map(drop).with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))
}

/// Copies a program without debug information, because the guest's file system is in memory.
fn strip(from: &Path, to: &Path) -> Result<()> {
    execute(Command::new("strip").arg("-o").args([to, from]))
}
