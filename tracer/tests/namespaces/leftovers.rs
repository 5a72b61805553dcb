//! A namespace ends with its owner, even if that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tracer::lab::netns::{PairOptions, VethPair};

use crate::eventually;

/// Environment variable that marks the child to kill.
const CHILD: &str = "TRACER_TEST_HOLDS_NAMESPACES";

/// Whether any thread is in the namespace, or any file descriptor of any process is open on it.
fn is_held(inode: u64) -> bool {
    let name = PathBuf::from(format!("net:[{inode}]"));
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|target| target == name);
    // Processes and threads may end meanwhile: paths that cannot be read are gone.
    entries(Path::new("/proc")).iter().any(|process| {
        entries(&process.join("fd")).iter().any(|descriptor| is_it(descriptor))
            || entries(&process.join("task")).iter().any(|thread| is_it(&thread.join("ns/net")))
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map_or_else(|_| Vec::new(), |list| list.flatten().map(|entry| entry.path()).collect())
}

/// The interfaces of the namespace in which the tests run.
fn own_links() -> BTreeSet<String> {
    let links = nix::net::if_::if_nameindex().expect("interfaces can be listed");
    links.iter().map(|link| link.name().to_string_lossy().into_owned()).collect()
}

fn inodes(pair: &VethPair) -> [u64; 2] {
    [&pair.server, &pair.client].map(|end| end.namespace.inode().expect("a namespace has an inode"))
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_dropped_pair_is_gone_and_never_appeared_in_the_own_namespace() {
    let links = own_links();
    let pair = VethPair::new(PairOptions::default()).expect("a pair");
    let inodes = inodes(&pair);
    assert!(inodes.iter().all(|&inode| is_held(inode)), "the search finds existing namespaces");
    assert_eq!(own_links(), links);
    drop(pair);
    assert!(eventually(|| !inodes.iter().any(|&inode| is_held(inode))), "a namespace is still held");
    assert_eq!(own_links(), links);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_killed_owner_leaves_no_namespaces() {
    if std::env::var_os(CHILD).is_some() {
        let pair = VethPair::new(PairOptions::default()).expect("a pair");
        let [server, client] = inodes(&pair);
        println!("\nholding {server} {client}");
        loop {
            std::thread::park();
        }
    }
    let links = own_links();
    let mut child = Command::new(std::env::current_exe().expect("the test has a path"))
        .args(["--exact", "--ignored", "--nocapture", "leftovers::a_killed_owner_leaves_no_namespaces"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test can start itself");
    let output = BufReader::new(child.stdout.take().expect("the output is piped"));
    let held = output.lines().map_while(Result::ok).find_map(|line| {
        let numbers = line.strip_prefix("holding ")?;
        Some(numbers.split(' ').map(|number| number.parse().expect("a number")).collect::<Vec<u64>>())
    });
    let held = held.expect("the child has created its namespaces");
    assert!(held.iter().all(|&inode| is_held(inode)), "the child holds its namespaces");
    child.kill().expect("the child can be killed");
    child.wait().expect("the child has ended");
    assert!(eventually(|| !held.iter().any(|&inode| is_held(inode))), "a namespace outlived its owner");
    assert_eq!(own_links(), links);
}
