//! Forwards what `nginx-sys` found out about nginx as `cfg`s, and refuses an nginx that the
//! module would not run in. (Where there is no tree at all, `nginx-sys` speaks before us.)

use std::env;

/// The oldest nginx that is tested.
const OLDEST: (u64, &str) = (1_022_001, "1.22.1");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    forward("ngx_feature", "DEP_NGINX_FEATURES");
    forward("ngx_os", "DEP_NGINX_OS");
    // Without the feature `nginx` there is no nginx to ask about.
    if let Some(number) = variable("DEP_NGINX_VERSION_NUMBER") {
        check(number.parse().expect("nginx-sys gives a number"));
    }
}

/// Sets `name="value"` for each value in the variable, and tells which values there could be.
fn forward(name: &str, from: &str) {
    let known = variable(&format!("{from}_CHECK")).unwrap_or_else(|| "any()".to_owned());
    println!("cargo::rustc-check-cfg=cfg({name}, values({known}))");
    let values = variable(from).unwrap_or_default();
    for value in values.split(',').filter(|value| !value.is_empty()) {
        println!("cargo::rustc-cfg={name}=\"{value}\"");
    }
}

/// Says what is wrong with the nginx, where something is.
fn check(number: u64) {
    let version = variable("DEP_NGINX_VERSION").unwrap_or_default();
    let directory = variable("DEP_NGINX_BUILD_DIR").unwrap_or_default();
    let features = variable("DEP_NGINX_FEATURES").unwrap_or_default();
    let has = |feature| features.split(',').any(|one| one == feature);
    if number < OLDEST.0 {
        println!(
            "cargo::error={version} in {directory} is too old: ngx-smart needs {} or newer",
            OLDEST.1
        );
    }
    if !has("http") {
        println!(
            "cargo::error=nginx in {directory} was configured --without-http, and ngx-smart is of \
             http: configure it with http"
        );
    }
    if env::var_os("CARGO_FEATURE_EXPORT_MODULES").is_some() && !has("compat") {
        println!(
            "cargo::warning=nginx in {directory} was configured without --with-compat: the module \
             loads only into an nginx configured with exactly the same arguments"
        );
    }
}

fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok()
}
