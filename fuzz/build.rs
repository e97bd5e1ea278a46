//! The modules of the tests name the binary, which no target runs.

fn main() {
    println!("cargo:rustc-env=CARGO_BIN_EXE_ctrbox=/nonexistent");
}
