//! Clock, entropy, disk, network, supervision, limits and metrics, passed in so that they can be simulated.
