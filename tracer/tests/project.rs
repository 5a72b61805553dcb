//! What the project says of itself: the dependency rules of ARCHITECTURE.md, and the names of the record's fields.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in a workspace").to_path_buf()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
    assert_eq!(manifest.matches("optional = true").count(), 2, "{manifest}");
    assert_eq!(dependencies("tracer-ebpf"), ["aya-ebpf", "aya-log-ebpf", "tracer-common"]);
}

#[test]
fn the_core_does_no_input_or_output() {
    let core = dependencies("tracer-core");
    for library in ["aya", "aya-log", "tokio", "clap", "nix", "caps", "landlock", "rtnetlink"] {
        assert!(!core.iter().any(|name| name == library), "{library} is a dependency of tracer-core");
    }
}

/// A name that is also a namespace cannot be mapped as both, in Elasticsearch and by the rules of OpenTelemetry.
#[test]
fn no_field_is_the_prefix_of_another() {
    let schema: serde_json::Value =
        serde_json::from_str(&read("tracer/schema/record.schema.json")).expect("the schema is JSON");
    let definitions = schema["$defs"].as_object().expect("definitions");
    let fields: BTreeSet<_> = definitions
        .values()
        .filter_map(|one| one["properties"].as_object())
        .flat_map(|properties| properties.keys())
        .collect();
    assert!(fields.len() > 100, "{fields:?}");
    for field in &fields {
        let prefix = format!("{field}.");
        let below: Vec<_> = fields.iter().filter(|other| other.starts_with(&prefix)).collect();
        assert!(below.is_empty(), "{field} is a field, and a prefix of {below:?}");
    }
}

#[test]
fn every_dependency_has_its_reason_in_architecture_md() {
    let architecture = read("ARCHITECTURE.md");
    for package in ["tracer", "tracer-core", "tracer-ebpf", "ebpf-build", "xtask"] {
        for name in dependencies(package) {
            let ours = ["tracer-common", "tracer-core", "ebpf-build"].contains(&name.as_str());
            assert!(ours || architecture.contains(&name), "{name} of {package}");
        }
    }
}
