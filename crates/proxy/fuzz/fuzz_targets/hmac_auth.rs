//! The target `hmac_auth` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("hmac_auth"), |data: &[u8]| twinplane_fuzz::run("hmac_auth", data));
