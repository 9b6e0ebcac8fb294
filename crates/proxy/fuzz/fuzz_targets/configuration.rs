//! The target `configuration` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("configuration"), |data: &[u8]| twinplane_fuzz::run("configuration", data));
