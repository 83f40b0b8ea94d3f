#![no_main]

#[allow(dead_code, reason = "shared with the seeded tests")]
#[path = "../entry/chain.rs"]
mod chain;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    chain::part(data);
});
