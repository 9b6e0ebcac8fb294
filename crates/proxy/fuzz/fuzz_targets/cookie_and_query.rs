//! The target `cookie_and_query` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("cookie_and_query"), |data: &[u8]| twinplane_fuzz::run("cookie_and_query", data));
