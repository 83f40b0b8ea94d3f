#![no_main]

#[allow(dead_code, reason = "shared with the seeded tests")]
#[path = "../entry/segments.rs"]
mod segments;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    segments::part(data);
});
