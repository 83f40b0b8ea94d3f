//! Group coordination as pure state machines over internal topics.
