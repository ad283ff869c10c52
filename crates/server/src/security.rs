//! What keeps other web pages out: which names this server answers to, who may change
//! something, and what a browser may do with what it gets.

mod headers;
mod host;
mod origin;
pub(crate) mod rate;

pub(crate) use headers::protect;
pub use host::HostNames;
pub(crate) use host::{check as check_host, requested};
pub(crate) use origin::check as check_origin;
