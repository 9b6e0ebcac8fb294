//! The target `chunks` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("chunks"), |data: &[u8]| twinplane_fuzz::run("chunks", data));
