//! The target `expression` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("expression"), |data: &[u8]| twinplane_fuzz::run("expression", data));
