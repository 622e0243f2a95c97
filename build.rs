//! Forwards what `nginx-sys` found out about nginx as `cfg`s.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
