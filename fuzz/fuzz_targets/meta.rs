#![no_main]

#[allow(dead_code, reason = "shared with the seeded tests")]
#[path = "../entry/meta.rs"]
mod meta;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    meta::value(data);
});
