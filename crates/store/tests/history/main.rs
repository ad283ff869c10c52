//! The history as its users see it, on real files.

#[cfg(test)]
mod asked;
#[cfg(test)]
mod changes;
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod results;
