//! `[vrrp]`: what routers say on the wire, and how they take what others say.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::{ADVERT_DEFAULT, AUTH_WINDOW_DEFAULT};

/// How many adverts must be missing before an active router is down, unless told otherwise.
pub const DOWN_AFTER_DEFAULT: u8 = 3;
/// The most adverts that may be missing.
pub const DOWN_AFTER_MAX: u8 = 100;
/// The hop limit of adverts unless told otherwise (RFC 9568 section 5.1.1.3).
pub const HOP_LIMIT_DEFAULT: u8 = 255;
/// The most multicast groups of a configuration and family: a socket may join 20 of IPv4
/// (`igmp_max_memberships`), and joins the usual one too.
pub const MULTICAST_MAX: usize = 16;
/// The longest time after the start in which nothing is claimed.
pub const START_DELAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// `[vrrp]` and `[group.NAME.vrrp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrrp {
    /// The version for IPv4; IPv6 is always version 3.
    pub version: VrrpVersion,
    /// The advertisement interval.
    pub advert: Duration,
    /// The checksum that is sent with version 3 over IPv4.
    pub checksum: Checksum,
    /// How adverts are authenticated.
    pub auth: Auth,
    /// How many adverts must be missing before an active router is down, 1 to [`DOWN_AFTER_MAX`].
    pub down_after: u8,
    /// An active router answers an advert of lower priority at once.
    pub answer_lower: bool,
    /// An active router sends one more advert before it gives way to a better one.
    pub advert_before_yield: bool,
    /// For so long after the start of the daemon nothing is claimed, up to [`START_DELAY_MAX`].
    pub start_delay: Duration,
    /// The hop limit of adverts to `unicast_peers`, 1 to 255.
    pub hop_limit: u8,
    /// The least hop limit with which adverts of `unicast_peers` may arrive, 1 to 255, if it counts.
    pub min_hop_limit: Option<u8>,
    /// Another multicast group for IPv4.
    pub multicast_v4: Option<Ipv4Addr>,
    /// Another multicast group for IPv6.
    pub multicast_v6: Option<Ipv6Addr>,
}

impl Default for Vrrp {
    fn default() -> Self {
        Self {
            version: VrrpVersion::V3,
            advert: ADVERT_DEFAULT,
            checksum: Checksum::Auto,
            auth: Auth::None,
            down_after: DOWN_AFTER_DEFAULT,
            answer_lower: true,
            advert_before_yield: false,
            start_delay: Duration::ZERO,
            hop_limit: HOP_LIMIT_DEFAULT,
            min_hop_limit: None,
            multicast_v4: None,
            multicast_v6: None,
        }
    }
}

/// How adverts are authenticated. Secrets stand in files, made absolute or relative to the working
/// directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// By a password in clear text; version 2.
    Password {
        /// The file with the password.
        key_file: PathBuf,
    },
    /// By an authentication header; version 2.
    Header {
        /// The file with the password.
        key_file: PathBuf,
    },
    /// By a trailer.
    Trailer(TrailerAuth),
}

impl Auth {
    /// What the file calls its type.
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password { .. } => "pass",
            Self::Header { .. } => "ah",
            Self::Trailer(_) => "hmac",
        }
    }
}

/// The authentication by trailer (draft-cassen-vrrp-auth-hmac).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailerAuth {
    /// A file for each key, by its number; 1 to [`super::AUTH_KEYS_MAX`].
    pub key_files: BTreeMap<u8, PathBuf>,
    /// The key that is sent with.
    pub active: u8,
    /// What happens to adverts without a trailer.
    pub mode: TrailerMode,
    /// How far a stamp may be from the clock, [`super::AUTH_WINDOW_MIN`] to [`super::AUTH_WINDOW_MAX`], if the file says.
    pub window: Option<Duration>,
    /// Stamps only have to rise, however far from the clock.
    pub rising_only: bool,
}

/// The steps by which a segment comes to use the trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailerMode {
    /// None is sent; adverts with and without are accepted.
    ReceiveOnly,
    /// One is sent; adverts with and without are accepted.
    Permissive,
    /// One is sent, and no advert is accepted without.
    Enforce,
}

impl Vrrp {
    /// How far a stamp may be from the clock; `None` if it only has to rise.
    pub fn window(&self, trailer: &TrailerAuth) -> Option<Duration> {
        let default = AUTH_WINDOW_DEFAULT.max(self.advert * 3);
        (!trailer.rising_only).then(|| trailer.window.unwrap_or(default))
    }
}

/// The version of VRRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VrrpVersion {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

impl fmt::Display for VrrpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "2",
            Self::V3 => "3",
        })
    }
}

/// The checksum of version 3 over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// With the pseudo-header until another dialect is heard.
    Auto,
    /// With the pseudo-header, as RFC 5798 is commonly read.
    Pseudo,
    /// Without, as RFC 9568 section 5.2.8 says for IPv4.
    Plain,
}
