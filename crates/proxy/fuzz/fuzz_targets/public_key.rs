//! The target `public_key` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("public_key"), |data: &[u8]| twinplane_fuzz::run("public_key", data));
