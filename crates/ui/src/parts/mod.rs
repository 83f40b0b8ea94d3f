//! Pieces that pages are made of. Each is a function from plain data to markup.

pub(crate) mod asof;
pub(crate) mod axis;
pub(crate) mod condition;
pub(crate) mod evidence;
pub(crate) mod facts;
pub(crate) mod frame;
pub(crate) mod graph;
pub(crate) mod hex;
pub(crate) mod links;
pub(crate) mod marks;
pub(crate) mod not_found;
pub(crate) mod notes;
pub(crate) mod notice;
pub(crate) mod sentence;
pub(crate) mod slack;
pub(crate) mod slip;
pub(crate) mod slip_labels;
pub(crate) mod standing;
pub(crate) mod text;
pub(crate) mod timeline;
pub(crate) mod times;
