//! Pages and parts: view structs in, HTML out.
