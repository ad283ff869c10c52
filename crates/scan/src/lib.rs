//! The engine: what is asked, in which order, how fast, and what the answers mean.

mod bits;
pub mod clock;
pub mod connect;
mod control;
pub mod device;
pub mod discovery;
mod divide;
mod engine;
mod error;
mod hold;
pub mod loss;
pub mod pace;
pub mod permutation;
pub mod plan;
mod quickest;
mod recent;
mod request;
pub mod rtt;
mod run;
mod sentinels;
mod several;
pub mod sweep;
pub mod syn;
pub mod transport;
pub mod udp;
mod unreached;
pub mod words;

pub use control::Control;
pub use engine::beginning;
pub use error::{Error, Result};
pub use plan::Plan;
pub use request::{Request, Search, Settled, settled_in};
pub use run::{UDP_BUDGET, run, run_syn, run_udp};
pub use several::{RunsOne, run_several};
pub use sweep::run_sweep;

pub use unreached::{no_host, without_route};

pub use portolan_model::Zones;
pub use portolan_model::address::{AddressSet, AddressSetBuilder};
