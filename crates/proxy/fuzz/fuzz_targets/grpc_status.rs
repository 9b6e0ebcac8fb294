//! The target `grpc_status` of `crates/proxy/tests/targets`, led by coverage.
#![no_main]
libfuzzer_sys::fuzz_target!(init: twinplane_fuzz::plant("grpc_status"), |data: &[u8]| twinplane_fuzz::run("grpc_status", data));
