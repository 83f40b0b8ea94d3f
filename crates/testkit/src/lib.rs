//! The simulated world: disk, network, clock, faults, and a history checker.
