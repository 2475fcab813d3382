//! Values that say what they are and how long they are: type (8 bits), length (16 bits), value.
//!
//! A reader skips types that it does not know and ignores what follows the fields that it knows in
//! a value, so newer senders can say more without being refused.

use super::bytes::Bytes;

/// The bytes in front of every value.
pub const HEAD_LEN: usize = 3;
/// The longest value.
pub const VALUE_MAX: usize = u16::MAX as usize;

/// One value with its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tlv<'a> {
    /// What it is.
    pub kind: u8,
    /// Its bytes.
    pub value: &'a [u8],
}

/// A list that ends within one of its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Truncated;

/// The values of a list in their order. After [`Truncated`] there are no more.
#[derive(Clone, Debug)]
pub struct Reader<'a>(Bytes<'a>);

impl<'a> Reader<'a> {
    /// Reads the list that fills `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(Bytes(bytes))
    }

    fn read(&mut self) -> Option<Tlv<'a>> {
        let kind = self.0.u8()?;
        let length = self.0.u16()?;
        Some(Tlv { kind, value: self.0.take(length.into())? })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Tlv<'a>, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.read().ok_or(Truncated);
        if next.is_err() {
            self.0 = Bytes(&[]);
        }
        Some(next)
    }
}

/// Appends a value that `fill` writes. A value longer than [`VALUE_MAX`] would be a defect of the
/// caller, whose lists are bounded: it is left out whole rather than written wrongly.
pub fn write(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([kind, 0, 0]);
    fill(out);
    match u16::try_from(out.len() - start - HEAD_LEN) {
        Ok(length) => out[start + 1..start + HEAD_LEN].copy_from_slice(&length.to_be_bytes()),
        Err(_) => out.truncate(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::hex;

    #[test]
    fn a_list_is_these_bytes_and_reads_back() {
        let mut out = Vec::new();
        write(&mut out, 7, |out| out.extend([1, 2, 3]));
        write(&mut out, 9, |out| write(out, 1, |_| {}));
        assert_eq!(out, hex("07 0003 010203 09 0003 01 0000"));
        let mut list = Reader::new(&out);
        assert_eq!(list.next(), Some(Ok(Tlv { kind: 7, value: &[1, 2, 3] })));
        assert_eq!(list.next(), Some(Ok(Tlv { kind: 9, value: &[1, 0, 0] })));
        assert_eq!(list.next(), None);
    }

    #[test]
    fn a_list_that_is_cut_says_so_once_and_ends() {
        let whole = hex("07 0003 010203");
        for length in 1..whole.len() {
            let mut list = Reader::new(&whole[..length]);
            assert_eq!(list.next(), Some(Err(Truncated)));
            assert_eq!(list.next(), None);
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_left_out() {
        let mut out = vec![5];
        write(&mut out, 1, |out| out.resize(out.len() + VALUE_MAX + 1, 0));
        assert_eq!(out, [5]);
        write(&mut out, 1, |out| out.resize(out.len() + VALUE_MAX, 0));
        assert_eq!(out.len(), 1 + HEAD_LEN + VALUE_MAX);
    }
}
