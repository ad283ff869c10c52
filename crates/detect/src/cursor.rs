//! Bytes that are read from the front: every read may fail, none can panic.

/// What is left to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `width` bytes, the highest first.
    pub(crate) fn be(&mut self, width: usize) -> Option<usize> {
        let bytes = self.take(width)?;
        Some(
            bytes
                .iter()
                .fold(0, |all: usize, &byte| all << 8 | usize::from(byte)),
        )
    }

    /// A number of `width` bytes, the lowest first.
    pub(crate) fn le(&mut self, width: usize) -> Option<usize> {
        let bytes = self.take(width)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |all: usize, &byte| all << 8 | usize::from(byte)),
        )
    }

    /// Bytes after their length in `width` bytes, the highest first.
    pub(crate) fn counted(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = self.be(width)?;
        self.take(length)
    }

    /// Bytes up to a zero, which is taken too.
    pub(crate) fn until_zero(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// An element of ASN.1's basic encoding (X.690): its tag and its contents.
    pub(crate) fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let tag = u8::try_from(self.be(1)?).ok()?;
        let length = match self.be(1)? {
            short @ 0..=0x7f => short,
            long @ 0x81..=0x84 => self.be(long - 0x80)?,
            _ => return None,
        };
        Some((tag, self.take(length)?))
    }

    /// The contents of the next element, if it has this tag.
    pub(crate) fn tagged(&mut self, tag: u8) -> Option<Self> {
        let (found, contents) = self.element()?;
        (found == tag).then_some(Self(contents))
    }
}

/// UTF-16 with the low byte first, as UTF-8.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| {
        pair.iter()
            .rev()
            .fold(0_u16, |all, &byte| all << 8 | u16::from(byte))
    });
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end() {
        let mut cursor = Cursor(&[0, 2, 7, 8, 0x30, 0x81, 1, 9]);
        assert_eq!(cursor.counted(2), Some(&[7, 8][..]));
        assert_eq!(cursor.element(), Some((0x30, &[9][..])));
        assert_eq!(cursor.be(1), None);
        assert_eq!(Cursor(&[0xff, 0xff, 0]).counted(2), None);
        assert_eq!(utf16(b"A\0\xe9\0"), "Aé");
    }
}
