//! The target `request_head` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("request_head"), |data: &[u8]| twinplane_fuzz::run("request_head", data));
