#![no_main]

#[allow(dead_code, reason = "shared by several targets")]
#[path = "../entry/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::response(data));
