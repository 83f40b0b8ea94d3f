//! The program `waybill`.
fn main() {}
