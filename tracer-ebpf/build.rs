//! Linker settings of the kernel programs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf") {
        // Clearing or copying a few words becomes a few stores: by default bpf-linker asks LLVM for a call to a loop over
        // single bytes, which costs time for every packet and the verifier's patience.
        println!("cargo:rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    }
}
