//! Where the programs are attached, also beside other programs.

use aya::programs::XdpMode;
use tracer::{
    config::{self, Attach, AttachBy, Interfaces},
    lab::netns::link,
    live::kernel::{
        Kernel, Loaded,
        attach::{Attacher, Change, Method},
        interfaces, support,
    },
};

use crate::{inside, kernel_config, pair};

fn kernel() -> Kernel {
    Kernel::load(&kernel_config()).unwrap_or_else(|error| panic!("{error:#}")).0
}

fn to(interface: &str, by: AttachBy) -> Attach {
    let interfaces = Interfaces::from_names(vec![interface.to_owned()]);
    Attach { interfaces, by, ..Attach::default() }
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .flat_map(|change| change.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

async fn attach(config: &Attach) -> (Attacher, Vec<String>) {
    match Attacher::start(kernel(), config).await {
        Ok((attacher, changes)) => (attacher, lines(&changes)),
        Err(error) => panic!("{error:#}"),
    }
}

/// The TC method for this kernel.
fn tc() -> Method {
    if support::before(6, 6) { Method::Clsact } else { Method::Tcx }
}

/// Whether an XDP program is attached to the interface.
async fn has_xdp(name: &str) -> bool {
    let interfaces = interfaces::list().await.expect("interfaces");
    interfaces.iter().any(|interface| interface.name == name && interface.xdp.is_some())
}

/// What native XDP does to a veth.
const EFFECT: &str = "veth copies every frame, and its peer sends no large ones";

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn every_program_loads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let verified =
        runtime.block_on(async { kernel().load_all() }).unwrap_or_else(|error| panic!("{error:#}"));
    for Loaded { name, instructions, .. } in verified {
        println!("{name}: {instructions} instructions verified");
        assert!((1..1_000_000).contains(&instructions), "the kernel's limit is a million: {name}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_veth_end_gets_native_xdp_and_tc_and_nothing_is_left_after_detaching() {
    inside(&pair().server.namespace, async || {
        let (mut attacher, lines) = attach(&to("veth-server", AttachBy::Xdp)).await;
        let hooks = ["veth-server ingress xdp native".to_owned(), format!("veth-server egress {}", tc())];
        assert_eq!(lines[0], format!("attached: {}; for native XDP, {EFFECT}", hooks[0]));
        assert_eq!(lines[1..], [format!("attached: {}", hooks[1])]);
        assert_eq!(attacher.summary(), hooks);
        assert!(has_xdp("veth-server").await);
        attacher.detach().expect("detached");
        assert!(!has_xdp("veth-server").await);
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_veth_end_gets_tc_by_default_with_the_reason() {
    inside(&pair().server.namespace, async || {
        let (_attacher, lines) = attach(&to("veth-server", AttachBy::Auto)).await;
        let expected = format!("attached: veth-server ingress {}; not xdp: for native XDP, {EFFECT}", tc());
        assert_eq!(lines[0], expected);
        assert!(!has_xdp("veth-server").await);
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn lo_is_observed_on_ingress_only_and_is_the_default_without_a_route() {
    inside(&pair().server.namespace, async || {
        let (_attacher, lines) = attach(&Attach::default()).await;
        assert_eq!(lines[0], format!("attached: lo ingress {}; not xdp: it has no driver", tc()));
        assert!(lines[1].contains("no interface has a default route") && lines.len() == 2, "{lines:?}");
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_interface_with_the_default_route_is_traced_by_default() {
    let pair = pair();
    inside(&pair.server.namespace, async || {
        let gateway = pair.client.v4;
        std::thread::scope(|scope| {
            let route = || pair.server.namespace.run(|| link::add_route([0; 4].into(), 0, gateway));
            scope.spawn(route).join().expect("no panic").expect("entered").expect("a route");
        });
        let (attacher, lines) = attach(&Attach::default()).await;
        assert_eq!(lines.len(), 3, "{lines:?}");
        let names: Vec<_> = attacher.names().map(|(_, name)| name.to_owned()).collect();
        assert_eq!(names, ["lo", "veth-server"]);
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn tc_is_used_on_request_without_a_reason() {
    inside(&pair().server.namespace, async || {
        let (_attacher, lines) = attach(&to("veth-server", AttachBy::Tc)).await;
        assert_eq!(lines[0], format!("attached: veth-server ingress {}", tc()));
        assert!(!has_xdp("veth-server").await);
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_xdp_program_of_another_owner_stays_and_is_named() {
    inside(&pair().server.namespace, async || {
        let mut foreign = kernel();
        let program = foreign.xdp("tracer_xdp").unwrap_or_else(|error| panic!("{error:#}"));
        program.attach("veth-server", XdpMode::Driver).expect("attached");
        let id = program.info().expect("about the program").id();

        let native = Attach { xdp_mode: config::XdpMode::Native, ..to("veth-server", AttachBy::Auto) };
        let (mut attacher, lines) = attach(&native).await;
        let reason = format!("the XDP program {id} (tracer_xdp), native, is attached and stays");
        assert_eq!(lines[0], format!("attached: veth-server ingress {}; not xdp: {reason}", tc()));
        let refused =
            Attacher::start(kernel(), &to("veth-server", AttachBy::Xdp)).await.expect_err("XDP is taken");
        assert!(refused.to_string().contains(&reason), "{refused:#}");
        attacher.detach().expect("detached");
        assert!(has_xdp("veth-server").await, "the foreign program is still there");
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn other_programs_on_the_same_hook_are_named() {
    if tc() == Method::Clsact {
        println!("skipped: only TCX lists the programs on a hook, and this kernel does not support it");
        return;
    }
    inside(&pair().server.namespace, async || {
        let (_first, _) = attach(&to("veth-server", AttachBy::Tc)).await;
        let (_second, lines) = attach(&to("veth-server", AttachBy::Tc)).await;
        assert!(lines[0].contains("ingress tc tcx; other programs on this hook: program "), "{lines:?}");
        assert!(lines[0].ends_with("(tracer_in_eth)"), "{lines:?}");
        assert!(lines[1].ends_with("(tracer_out_eth)"), "{lines:?}");
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn kernels_without_tcx_get_filters_that_are_gone_after_detaching() {
    inside(&pair().server.namespace, async || {
        let filters = || {
            let mut tc = std::process::Command::new("tc");
            let output =
                tc.args(["filter", "show", "dev", "veth-server", "egress"]).output().expect("tc runs");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let config = to("veth-server", AttachBy::Tc);
        for _ in 0..2 {
            let (mut attacher, changes) =
                Attacher::start_by(Method::Clsact, kernel(), &config).await.expect("attached");
            assert_eq!(lines(&changes)[1], "attached: veth-server egress tc clsact");
            assert!(filters().contains("tracer_out_eth"), "{}", filters());
            attacher.detach().expect("detached");
            assert_eq!(filters(), "");
        }
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_error_for_an_unknown_interface_lists_those_that_exist() {
    inside(&pair().server.namespace, async || {
        let error = Attacher::start(kernel(), &to("eth7", AttachBy::Auto)).await.expect_err("there is none");
        assert_eq!(error.to_string(), "there is no interface eth7; there are lo, veth-server (or \"any\")");
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn interfaces_are_followed_as_they_appear_and_disappear() {
    let pair = pair();
    inside(&pair.server.namespace, async || {
        let (mut attacher, _) = attach(&to(Interfaces::ANY, AttachBy::Auto)).await;
        assert_eq!(attacher.names().map(|(_, name)| name).collect::<Vec<_>>(), ["lo", "veth-server"]);
        // On another thread, because this one is inside a runtime.
        pair.server.namespace.run(|| link::delete("veth-server")).expect("entered").expect("deleted");
        let changes = attacher.follow().await.expect("followed");
        assert_eq!(lines(&changes), ["veth-server is gone; its connections are kept"]);
        assert!(attacher.follow().await.expect("followed").is_empty(), "reported once");
    });
}
