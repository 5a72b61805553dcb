//! What the project says of itself: the dependency rules of ARCHITECTURE.md, and the tables of the README.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in a workspace").to_path_buf()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below `folder`, as paths relative to it.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(folder).expect("it is below").to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// The names under `[dependencies]` of a package.
fn dependencies(package: &str) -> Vec<String> {
    read(format!("{package}/Cargo.toml"))
        .split("[dependencies]")
        .nth(1)
        .unwrap_or_default()
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim().to_owned()))
        .collect()
}

#[test]
fn what_the_kernel_runs_depends_on_nothing_else() {
    assert_eq!(dependencies("tracer-common"), ["aya", "zerocopy"], "they are there for userspace only");
    let manifest = read("tracer-common/Cargo.toml");
    assert!(manifest.contains("user = [\"dep:aya\", \"dep:zerocopy\"]"), "{manifest}");
    assert_eq!(manifest.matches("optional = true").count(), 2, "{manifest}");
    assert_eq!(dependencies("tracer-ebpf"), ["aya-ebpf", "aya-log-ebpf", "tracer-common"]);
}

#[test]
fn each_library_is_used_where_architecture_md_says() {
    let folder = root().join("tracer/src");
    for (library, allowed) in [
        ("aya::", &["kernel/"][..]),
        ("aya_log::", &["kernel/"]),
        ("clap::", &["cli.rs"]),
        ("netlink_packet_sock_diag::", &["kernel/listen.rs"]),
        ("rtnetlink::", &["kernel/interfaces.rs", "netns/link.rs"]),
        ("tokio::", &["main.rs", "pipeline.rs", "pipeline/", "kernel/", "netns/link.rs", "demo/run.rs"]),
        ("caps::", &["privilege.rs", "confine/"]),
        ("landlock::", &["confine/files.rs"]),
        ("seccompiler::", &["confine/calls.rs"]),
        ("unsafe {", &["kernel/readiness.rs"]),
    ] {
        for file in sources(&folder) {
            let uses = read(Path::new("tracer/src").join(&file)).lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.match_indices(library).any(|(at, _)| {
                    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                })
            });
            assert!(!uses || allowed.iter().any(|place| file.starts_with(place)), "{library} in {file}");
        }
    }
}

#[test]
fn the_core_knows_no_clock_and_no_files() {
    let folder = root().join("tracer/src");
    for file in sources(&folder) {
        let core = ["tcp/", "http/", "tracker", "listener/"].iter().any(|place| file.starts_with(place));
        if core && !file.contains("tests") {
            let text = read(Path::new("tracer/src").join(&file));
            for word in ["SystemTime", "Instant::now", "std::fs", "std::io", "std::net::Tcp", "println!"] {
                assert!(!text.contains(word), "{word} in {file}");
            }
        }
    }
}

#[test]
fn the_readme_explains_every_field_and_every_option() {
    let readme = read("README.md");
    let schema: serde_json::Value =
        serde_json::from_str(&read("tracer/schema/record.schema.json")).expect("the schema is JSON");
    let definitions = schema["$defs"].as_object().expect("definitions");
    let fields =
        definitions.values().filter_map(|one| one["properties"].as_object()).flat_map(|all| all.keys());
    for field in fields {
        assert!(readme.contains(&format!("`{field}`")), "the README does not explain {field}");
    }
    let help = |command: &str| {
        let help =
            std::process::Command::new(env!("CARGO_BIN_EXE_tracer")).args([command, "--help"]).output();
        String::from_utf8(help.expect("it runs").stdout).expect("text")
    };
    let help = help("trace") + &help("replay");
    for option in help.split_whitespace().filter(|word| word.starts_with("--")) {
        let option = option.trim_end_matches([',', '.', ';']);
        assert!(option == "--help" || readme.contains(option), "the README does not explain {option}");
    }
}

#[test]
fn every_dependency_has_its_reason_in_architecture_md() {
    let architecture = read("ARCHITECTURE.md");
    for package in ["tracer", "tracer-ebpf", "ebpf-build", "xtask"] {
        for name in dependencies(package) {
            let ours = ["tracer-common", "ebpf-build"].contains(&name.as_str());
            assert!(ours || architecture.contains(&name), "{name} of {package}");
        }
    }
}
