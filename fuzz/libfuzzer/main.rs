//! Feeds libFuzzer's bytes to the target that the environment names: `TARGET=vrrp`.
#![no_main]

use std::sync::LazyLock;

use evergate_fuzz::targets::{ALL, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").expect("TARGET names one of `evergate-fuzz list`");
    let found = ALL.iter().find(|target| target.name == name);
    found.expect("TARGET names one of `evergate-fuzz list`")
});

fuzz_target!(|bytes: &[u8]| {
    let _ = (TARGET.run)(bytes);
});
