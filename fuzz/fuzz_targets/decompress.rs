#![no_main]

#[allow(dead_code, reason = "shared by several targets")]
#[path = "../entry/batches.rs"]
mod batches;

libfuzzer_sys::fuzz_target!(|data: &[u8]| batches::decompress(data));
