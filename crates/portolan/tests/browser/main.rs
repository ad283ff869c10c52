//! The program in a browser: Debian's Chromium, driven through what only the whole program does.
//!
//! What needs a browser is ignored by default; `cargo xtask test` runs it.

#[cfg(test)]
mod cut;
#[cfg(test)]
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../server/tests/browser/driver.rs"]
mod driver;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod server;
#[cfg(test)]
mod udp;
