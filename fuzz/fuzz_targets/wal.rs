#![no_main]

#[allow(dead_code, reason = "shared with the seeded tests")]
#[path = "../entry/wal.rs"]
mod wal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    wal::part(data);
});
