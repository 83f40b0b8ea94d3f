#![no_main]

#[path = "../entry/batches.rs"]
mod batches;

libfuzzer_sys::fuzz_target!(|data: &[u8]| batches::record_batch(data));
