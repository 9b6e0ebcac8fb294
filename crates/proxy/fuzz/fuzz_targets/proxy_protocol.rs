//! The target `proxy_protocol` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("proxy_protocol"), |data: &[u8]| twinplane_fuzz::run("proxy_protocol", data));
