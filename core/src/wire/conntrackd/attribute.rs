//! Attributes: their numbers, how they are written and read.

use super::Reject;

/// Numbers of attributes of a flow. Addresses and ports are those of the original direction.
pub mod number {
    pub const IPV4: u16 = 0;
    pub const IPV6: u16 = 1;
    pub const L4_PROTOCOL: u16 = 2;
    pub const PORTS: u16 = 3;
    pub const TCP_STATE: u16 = 4;
    pub const STATUS: u16 = 5;
    pub const TIMEOUT: u16 = 6;
    pub const MARK: u16 = 7;
    pub const MASTER_IPV4: u16 = 8;
    pub const MASTER_IPV6: u16 = 9;
    pub const MASTER_L4_PROTOCOL: u16 = 10;
    pub const MASTER_PORTS: u16 = 11;
    pub const SNAT_IPV4: u16 = 12;
    pub const DNAT_IPV4: u16 = 13;
    pub const SPAT_PORT: u16 = 14;
    pub const DPAT_PORT: u16 = 15;
    pub const ADJUSTMENTS: u16 = 16;
    pub const SCTP_STATE: u16 = 17;
    pub const SCTP_TAG_ORIGINAL: u16 = 18;
    pub const SCTP_TAG_REPLY: u16 = 19;
    pub const DCCP_STATE: u16 = 20;
    pub const DCCP_ROLE: u16 = 21;
    pub const ICMP_TYPE: u16 = 22;
    pub const ICMP_CODE: u16 = 23;
    pub const ICMP_ID: u16 = 24;
    pub const SCALE_ORIGINAL: u16 = 25;
    pub const SCALE_REPLY: u16 = 26;
    pub const HELPER: u16 = 27;
    pub const LABELS: u16 = 28;
    pub const SNAT_IPV6: u16 = 29;
    pub const DNAT_IPV6: u16 = 30;
    pub const SYNPROXY: u16 = 31;
    pub const ZONE: u16 = 32;
}

/// The bytes in front of a value.
const HEAD: usize = 4;
/// The numbers that can be: the highest is [`number::ZONE`].
const COUNT: usize = 33;
/// The most bytes of labels with their head that conntrackd knows.
const LABELS_MAX: usize = 1_024;

/// The attributes of a message by their number; of two with the same number the later counts.
pub struct Attributes<'a>([Option<&'a [u8]>; COUNT]);

impl<'a> Attributes<'a> {
    /// Reads all of them. Numbers that we do not know are passed over.
    pub fn read(mut rest: &'a [u8]) -> Result<Attributes<'a>, Reject> {
        let mut found = [None; COUNT];
        // So few bytes are padding, as conntrackd sees it.
        while rest.len() > HEAD {
            let Some(&[high, low, kind_high, kind_low]) = rest.first_chunk::<HEAD>() else { break };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let kind = u16::from_be_bytes([kind_high, kind_low]);
            let value = rest.get(HEAD..length).ok_or(Reject::Attribute)?;
            if let Some(place) = found.get_mut(usize::from(kind)) {
                if !fits(kind, value.len()) {
                    return Err(Reject::Attribute);
                }
                *place = Some(value);
            }
            rest = rest.get(length.next_multiple_of(HEAD)..).unwrap_or_default();
        }
        Ok(Attributes(found))
    }

    /// The bytes of one.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    /// One of `N` bytes.
    pub fn array<const N: usize>(&self, kind: u16) -> Option<[u8; N]> {
        self.get(kind)?.try_into().ok()
    }

    /// One of 8 bits.
    pub fn u8(&self, kind: u16) -> Option<u8> {
        self.array(kind).map(|[byte]| byte)
    }

    /// One of 16 bits.
    pub fn u16(&self, kind: u16) -> Option<u16> {
        self.array(kind).map(u16::from_be_bytes)
    }

    /// One of 16 bits that conntrackd swaps once too often.
    pub fn swapped(&self, kind: u16) -> Option<u16> {
        self.array(kind).map(u16::from_le_bytes)
    }

    /// One of 32 bits.
    pub fn u32(&self, kind: u16) -> Option<u32> {
        self.array(kind).map(u32::from_be_bytes)
    }
}

/// Whether an attribute may have so many bytes.
fn fits(kind: u16, length: usize) -> bool {
    use number as n;
    let exactly = match kind {
        n::IPV4 | n::MASTER_IPV4 => 8,
        n::IPV6 | n::MASTER_IPV6 => 32,
        n::L4_PROTOCOL | n::TCP_STATE | n::MASTER_L4_PROTOCOL | n::SCTP_STATE => 1,
        n::DCCP_STATE | n::DCCP_ROLE | n::ICMP_TYPE | n::ICMP_CODE => 1,
        n::SCALE_ORIGINAL | n::SCALE_REPLY => 1,
        n::PORTS | n::STATUS | n::TIMEOUT | n::MARK | n::MASTER_PORTS => 4,
        n::SNAT_IPV4 | n::DNAT_IPV4 | n::SCTP_TAG_ORIGINAL | n::SCTP_TAG_REPLY => 4,
        n::SPAT_PORT | n::DPAT_PORT | n::ICMP_ID | n::ZONE => 2,
        n::ADJUSTMENTS => 24,
        n::SNAT_IPV6 | n::DNAT_IPV6 => 16,
        n::SYNPROXY => 12,
        n::HELPER => return length > 0 && length + HEAD <= 16,
        n::LABELS => return length + HEAD <= LABELS_MAX && length.is_multiple_of(4),
        _ => return true,
    };
    length == exactly
}

/// Appends an attribute.
pub fn write(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // The longest value that is written here has 32 bytes.
    out.extend(u16::try_from(HEAD + value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(HEAD), 0);
}
