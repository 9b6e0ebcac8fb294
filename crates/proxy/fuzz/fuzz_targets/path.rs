//! The target `path` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("path"), |data: &[u8]| twinplane_fuzz::run("path", data));
