//! Who may speak for a virtual router: the authentication of its adverts, in and out.
//!
//! ```text
//!   none, password   the advert alone                                      (RFC 2338 §5.3.6.1, .2)
//!   header           an IPv4 packet: sequence and digest before the advert (RFC 2338 §5.3.6.3)
//!   trailer          stamp and digest behind the advert                    (draft-cassen-vrrp-auth-hmac)
//! ```
//!
//! The sequence of the header belongs to the virtual router, not to a node: whoever becomes active goes on
//! from the highest number that was heard. Stamps of the trailer belong to their sender.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::sequence::Sequence;
use super::stamps::{Stamps, is_far};
use crate::ident::Family;
use crate::wire::ah;
use crate::wire::trailer::{self, Key, Sender, Stamp, Trailer};
use crate::wire::vrrp::{self, Advert, Auth, Context, Dialect, Password};

/// How many packets may be sent before a will is too old: a sequence that jumps by so much harms nobody.
const WILL_PACKETS: u32 = 256;
/// How far the stamp of a will lies ahead: less than any window of the configuration (3 s), so that it is
/// taken at once.
const WILL_AHEAD: Duration = Duration::from_secs(2);
/// The will is made again when this much is left.
const WILL_LEFT: Duration = Duration::from_secs(1);

/// How adverts of a virtual router are authenticated, with the secrets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Method {
    /// Not at all.
    #[default]
    None,
    /// By a password in clear text; version 2.
    Password(Password),
    /// By an authentication header in front; version 2.
    Header(Password),
    /// By a trailer behind.
    Trailer(Keys),
}

/// The keys of the trailer and what is asked of others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    /// Every key that is accepted, by its number.
    pub keys: BTreeMap<u8, Key>,
    /// The number of the key that we send with; one of [`Keys::keys`].
    pub active: u8,
    /// What happens to adverts without a trailer.
    pub mode: Mode,
    /// How far the stamp may be from our clock, in either direction; `None`: it only has to rise.
    pub window: Option<Duration>,
}

/// The steps by which a segment comes to use the trailer. A wrong trailer is refused in each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// We send none, and accept adverts with and without.
    ReceiveOnly,
    /// We send one, and accept adverts with and without.
    Permissive,
    /// We send one, and accept no advert without.
    Enforce,
}

/// Why an advert was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It is none.
    Advert(vrrp::Reject),
    /// Its sender has not shown that it may speak.
    Auth(Reject),
}

crate::wire::causes! {
    /// Why the authentication of an advert was refused.
    Reject {
        /// It has another type of authentication than ours, or none where we want one.
        Type = "auth-type",
        /// Its password is not ours, or its digest is not that of our key.
        Failed = "auth-failed",
        /// Its number or stamp is not higher than what was heard before.
        Replay = "auth-replay",
        /// Its stamp is too far from our clock: is the time right on both?
        Stale = "auth-stale",
        /// It names a key that we do not have.
        Key = "auth-key",
        /// Its header or trailer cannot be read.
        Form = "auth-form",
    }
}

/// Why an advert cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsendable {
    /// The format cannot hold it.
    Advert(vrrp::Unsendable),
    /// The sequence has come to its end: the router has to resign, and counts from the start then.
    Exhausted,
}

/// One virtual router's authentication.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    method: Method,
    sequence: Sequence,
    stamps: Stamps,
    /// The hop limit of what goes to one router, where it is not [`vrrp::HOP_LIMIT`].
    hops: Option<u8>,
    /// What the last will has used up, of both.
    willed: Option<(u32, Stamp)>,
}

impl Guard {
    /// A guard that has heard nothing. `now` is the time of day: the sequence begins with it, so that a
    /// process that has forgotten its numbers is not taken for a replay of itself.
    pub fn new(method: Method, now: Stamp) -> Guard {
        Guard { method, sequence: Sequence::of_day(now), ..Guard::default() }
    }

    /// Takes another method; what was heard stays.
    pub fn set_method(&mut self, method: Method) {
        self.method = method;
    }

    /// Sends whole packets to single routers with this hop limit from now on; those to a group keep
    /// [`vrrp::HOP_LIMIT`].
    pub fn set_hop_limit(&mut self, hops: u8) {
        self.hops = Some(hops);
    }

    /// Whether adverts carry a number or a stamp, so that a will is overtaken by what is sent after it.
    pub fn is_numbered(&self) -> bool {
        matches!(self.method, Method::Header(_) | Method::Trailer(_))
    }

    /// Whether adverts are whole IPv4 packets of their own protocol.
    pub fn is_header(&self) -> bool {
        matches!(self.method, Method::Header(_))
    }

    /// Appends what is to be sent to `out`: the whole IPv4 packet where [`Guard::is_header`], otherwise
    /// what follows the IP header. On an error `out` is as it was.
    pub fn seal(
        &mut self,
        advert: &Advert,
        addresses: (IpAddr, IpAddr),
        dialect: Dialect,
        now: Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        let counters = (&mut self.sequence, &mut self.stamps);
        let ttl = hop_limit(self.hops, addresses.1);
        self.method.seal(counters, advert, (addresses, ttl), dialect, now, out)
    }

    /// Like [`Guard::seal`], for a resignation that another process sends if this one dies: behind all
    /// that this one sends until [`Guard::wants_will`].
    pub fn seal_will(
        &mut self,
        advert: &Advert,
        addresses: (IpAddr, IpAddr),
        dialect: Dialect,
        now: Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        let (mut sequence, mut stamps) = (self.sequence, self.stamps.clone());
        let (number, stamp) = (self.sequence.ahead(WILL_PACKETS), now.later(WILL_AHEAD));
        sequence.skip_to(number);
        stamps.skip_to(stamp);
        let counters = (&mut sequence, &mut stamps);
        let ttl = hop_limit(self.hops, addresses.1);
        self.method.seal(counters, advert, (addresses, ttl), dialect, now, out)?;
        self.willed = Some((number, stamps.sent().unwrap_or(stamp)));
        Ok(())
    }

    /// A former process of this one has died, and what it has left to be said may have been said: we go on
    /// behind it.
    pub fn outlive_will(&mut self, now: Stamp) {
        self.stamps.skip_to(now.later(WILL_AHEAD));
        self.sequence.begin_later(WILL_PACKETS);
    }

    /// Whether the last will has become too old, or soon will.
    pub fn wants_will(&self, now: Stamp) -> bool {
        let (sequence, stamp) = self.willed.unwrap_or_default();
        match self.method {
            Method::None | Method::Password(_) => false,
            Method::Header(_) => self.sequence.ahead(WILL_PACKETS / 2) >= sequence,
            Method::Trailer(_) => !stamp.is_after(now.later(WILL_LEFT)),
        }
    }

    /// Goes on behind a will of a former process, which may have been sent.
    pub fn inherit(&mut self, will: &[u8]) {
        match self.method {
            Method::None | Method::Password(_) => {}
            Method::Header(_) => {
                let header = will.get(ah::OUTER_LEN..).map(ah::Header::decode);
                if let Some(Ok((header, _))) = header {
                    self.sequence.skip_to(header.sequence);
                }
            }
            Method::Trailer(_) => {
                let behind = will.len().checked_sub(trailer::LEN).map(|at| &will[at..]);
                if let Some(Ok(trailer)) = behind.map(Trailer::decode) {
                    self.stamps.skip_to(trailer.stamp);
                }
            }
        }
    }

    /// Reads what follows the IP header.
    pub fn open(
        &mut self,
        packet: &[u8],
        context: &Context,
        now: Stamp,
    ) -> Result<(Advert, Dialect), Refused> {
        let (bytes, behind) = vrrp::split(packet, context.family, trailer::LEN);
        let (advert, dialect) =
            vrrp::decode_in_front_of(bytes, behind, context).map_err(Refused::Advert)?;
        self.judge(&advert, bytes, behind, context, now).map_err(Refused::Auth)?;
        Ok((advert, dialect))
    }

    /// Reads a whole IPv4 packet with an authentication header. `hop_limit_min`: as in
    /// [`Context::hop_limit_min`].
    pub fn open_header(
        &mut self,
        packet: &[u8],
        hop_limit_min: u8,
    ) -> Result<(Advert, Dialect), Refused> {
        let Method::Header(password) = &self.method else {
            return Err(Refused::Auth(Reject::Type));
        };
        let read = ah::decode(password, packet).map_err(|why| match why {
            ah::Reject::Digest => Refused::Auth(Reject::Failed),
            ah::Reject::Length | ah::Reject::Next | ah::Reject::Outer => {
                Refused::Auth(Reject::Form)
            }
        });
        let (outer, header, inner) = read?;
        let context = Context {
            family: Family::V4,
            source: outer.source.into(),
            destination: outer.destination.into(),
            hop_limit: outer.ttl,
            hop_limit_min,
        };
        let (advert, dialect) = vrrp::decode(inner, &context).map_err(Refused::Advert)?;
        if advert.auth != Auth::Header {
            return Err(Refused::Auth(Reject::Type));
        }
        self.sequence.accept(header.sequence).map_err(Refused::Auth)?;
        Ok((advert, dialect))
    }

    fn judge(
        &mut self,
        advert: &Advert,
        bytes: &[u8],
        behind: &[u8],
        context: &Context,
        now: Stamp,
    ) -> Result<(), Reject> {
        match (&self.method, advert.auth) {
            (Method::Trailer(keys), Auth::None) if !behind.is_empty() => {
                let trailer = Trailer::decode(behind).map_err(|_| Reject::Form)?;
                let key = keys.keys.get(&trailer.key).ok_or(Reject::Key)?;
                if keys.window.is_some_and(|window| is_far(trailer.stamp, now, window)) {
                    return Err(Reject::Stale);
                }
                if !trailer.is_of(key, &sender(context.source, advert), bytes) {
                    return Err(Reject::Failed);
                }
                self.stamps.accept(context.source, trailer.stamp, (now, keys.window))
            }
            (Method::Trailer(keys), Auth::None) if keys.mode != Mode::Enforce => Ok(()),
            (Method::None, Auth::None) if behind.is_empty() => Ok(()),
            (Method::Password(ours), Auth::Password(theirs)) if behind.is_empty() => {
                if is_same(ours, &theirs) { Ok(()) } else { Err(Reject::Failed) }
            }
            _ => Err(Reject::Type),
        }
    }
}

impl Method {
    /// [`Guard::seal`], with the numbers and stamps from which it goes on.
    fn seal(
        &self,
        (sequence, stamps): (&mut Sequence, &mut Stamps),
        advert: &Advert,
        ((source, destination), ttl): ((IpAddr, IpAddr), u8),
        dialect: Dialect,
        now: Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        let auth = match self {
            Self::None | Self::Trailer(_) => Auth::None,
            Self::Password(password) => Auth::Password(*password),
            Self::Header(_) => Auth::Header,
        };
        let advert = Advert { auth, ..advert.clone() };
        let start = out.len();
        let encode = |out: &mut Vec<u8>| {
            vrrp::encode(&advert, dialect, source, destination, out).map_err(Unsendable::Advert)
        };
        match (self, source, destination) {
            (Self::Header(password), IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut inner = Vec::new();
                encode(&mut inner)?;
                let sequence = sequence.next(advert.priority == 0).ok_or(Unsendable::Exhausted)?;
                let identification = identification(sequence);
                let outer = ah::Outer { identification, source, destination, ttl };
                ah::encode(password, &outer, sequence, &inner, out);
            }
            (Self::Trailer(keys), ..) if keys.mode != Mode::ReceiveOnly => {
                encode(out)?;
                if let Some(key) = keys.keys.get(&keys.active) {
                    let stamp = stamps.next(now, keys.window);
                    let sender = sender(source, &advert);
                    let mut behind = Vec::with_capacity(trailer::LEN);
                    let bytes = &out[start..];
                    trailer::encode(keys.active, key, stamp, &sender, bytes, &mut behind);
                    out.extend(behind);
                    vrrp::cover(&mut out[start..], source, destination);
                }
            }
            (Self::None | Self::Password(_) | Self::Header(_) | Self::Trailer(_), ..) => {
                encode(out)?;
            }
        }
        Ok(())
    }
}

/// The hop limit of what goes to a destination.
fn hop_limit(hops: Option<u8>, destination: IpAddr) -> u8 {
    hops.filter(|_| !destination.is_multicast()).unwrap_or(vrrp::HOP_LIMIT)
}

fn sender(source: IpAddr, advert: &Advert) -> Sender {
    Sender { source, version: advert.version.number(), vrid: advert.vrid.get() }
}

/// Compares without an early end: who guesses learns nothing from how long it takes.
fn is_same(one: &Password, other: &Password) -> bool {
    one.0.iter().zip(other.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The identification of a packet: never 0, for which the kernel would choose another one.
fn identification(sequence: u32) -> u16 {
    u16::try_from((sequence.max(1) - 1) % u32::from(u16::MAX)).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests;
