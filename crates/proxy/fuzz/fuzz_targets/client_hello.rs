//! The target `client_hello` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("client_hello"), |data: &[u8]| twinplane_fuzz::run("client_hello", data));
