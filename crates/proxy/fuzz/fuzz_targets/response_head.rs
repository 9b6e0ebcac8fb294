//! The target `response_head` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("response_head"), |data: &[u8]| twinplane_fuzz::run("response_head", data));
