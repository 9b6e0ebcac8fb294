//! The target `basic_auth` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("basic_auth"), |data: &[u8]| twinplane_fuzz::run("basic_auth", data));
