//! The target `reply` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("reply"), |data: &[u8]| twinplane_fuzz::run("reply", data));
