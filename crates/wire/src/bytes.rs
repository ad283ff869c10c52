//! Reading and writing fields in network byte order.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::{Error, Result};

/// The bytes of a fixed-size field. The caller's `Packet::new` has checked that they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], field: Range<usize>) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[field]);
    out
}

pub(crate) fn u16_at(bytes: &[u8], field: Range<usize>) -> u16 {
    u16::from_be_bytes(array_at(bytes, field))
}

pub(crate) fn u32_at(bytes: &[u8], field: Range<usize>) -> u32 {
    u32::from_be_bytes(array_at(bytes, field))
}

pub(crate) fn ipv4_at(bytes: &[u8], field: Range<usize>) -> Ipv4Addr {
    Ipv4Addr::from(array_at::<4>(bytes, field))
}

pub(crate) fn ipv6_at(bytes: &[u8], field: Range<usize>) -> Ipv6Addr {
    Ipv6Addr::from(array_at::<16>(bytes, field))
}

pub(crate) fn put(bytes: &mut [u8], field: Range<usize>, value: &[u8]) {
    bytes[field].copy_from_slice(value);
}

pub(crate) fn put_u16(bytes: &mut [u8], field: Range<usize>, value: u16) {
    put(bytes, field, &value.to_be_bytes());
}

pub(crate) fn put_u32(bytes: &mut [u8], field: Range<usize>, value: u32) {
    put(bytes, field, &value.to_be_bytes());
}

/// Fails when `bytes` holds less than `needs` bytes.
pub(crate) fn check(what: &'static str, bytes: &[u8], needs: usize) -> Result<()> {
    if bytes.len() < needs {
        return Err(Error::Truncated {
            what,
            needs,
            holds: bytes.len(),
        });
    }
    Ok(())
}

/// The first `needs` bytes of `buffer`, to be written.
pub(crate) fn room<'a>(
    what: &'static str,
    buffer: &'a mut [u8],
    needs: usize,
) -> Result<&'a mut [u8]> {
    let holds = buffer.len();
    buffer
        .get_mut(..needs)
        .ok_or(Error::Truncated { what, needs, holds })
}

/// A length as the 16 bits that hold it on the wire.
pub(crate) fn length_u16(what: &'static str, len: usize) -> Result<u16> {
    u16::try_from(len).map_err(|_| Error::Length {
        what,
        says: len,
        least: 0,
        most: u16::MAX.into(),
    })
}
