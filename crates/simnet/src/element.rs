//! What may happen to a packet on its way: each element is small, exact and tested alone.

mod bottleneck;
mod firewall;
mod limit;
mod loss;
mod nat;
mod way;

pub(crate) use bottleneck::Queue;
pub(crate) use firewall::Wall;
pub(crate) use limit::{Bucket, Credit};
pub(crate) use loss::Losses;
pub(crate) use nat::{Flow, Table};
pub(crate) use way::Direction;
