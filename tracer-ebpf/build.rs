//! Linker settings of the kernel programs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf") {
        // Clears and copies a few words by a few stores. By default, bpf-linker makes LLVM call a loop over single bytes, which
        // costs time for every packet, and many verified instructions.
        println!("cargo:rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    }
}
