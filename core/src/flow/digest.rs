//! Short names and sums of flows: what two tables are compared by.
//!
//! All nodes of a cluster compute the same figures, under a key of the cluster.

use std::net::IpAddr;

use super::{Expectation, Extra, Flow, FlowKey, Part, State, Tuple, status, tcp};

/// The short name of a flow within a cluster: 64 bits of a keyed hash of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowHash(pub u64);

/// The short sum of what a flow is beside its name; flows with equal sums are taken for equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueDigest(pub u32);

/// The key of both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashKey(pub [u64; 2]);

impl HashKey {
    /// The short name of a flow.
    pub fn name(&self, key: &FlowKey) -> FlowHash {
        let mut sip = Sip::new(self);
        sip.tuple(&key.original);
        sip.word(u64::from(key.zones.original) << 16 | u64::from(key.zones.reply));
        FlowHash(sip.finish())
    }

    /// The sum of a flow's value: all but its key and its timeout. Flags of TCP that are only
    /// crutches of a takeover do not count.
    pub fn value(&self, flow: &Flow) -> ValueDigest {
        let mut sip = Sip::new(self);
        sip.tuple(&flow.reply);
        // An established TCP connection is answered and will be assured with its next packet: that is
        // no news.
        let both = status::SEEN_REPLY | status::ASSURED;
        let seen = if matches!(flow.state, State::Tcp { .. }) { both } else { flow.status & both };
        sip.word(u64::from(flow.mark) << 32 | u64::from(seen));
        match flow.state {
            State::None => {}
            State::Tcp { state, .. } => sip.word(1 << 8 | u64::from(tcp_stage(state))),
            State::Sctp { state, tags } => {
                sip.word(2 << 8 | u64::from(state));
                sip.word(u64::from(tags[0]) << 32 | u64::from(tags[1]));
            }
            State::Dccp { state, role, .. } => {
                sip.word(3 << 16 | u64::from(role) << 8 | u64::from(state));
            }
        }
        if let Some(extra) = &flow.extra {
            sip.extra(extra);
        }
        let sum = sip.finish();
        // Both halves count, so that 32 bits are left.
        let [a, b, c, d, e, f, g, h] = sum.to_be_bytes();
        ValueDigest(u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h]))
    }
}

/// The state of a TCP connection as far as it is compared: a half-closed connection is an open one,
/// because steps of closing are not told one by one.
fn tcp_stage(state: u8) -> u8 {
    if (tcp::ESTABLISHED..=tcp::LAST_ACK).contains(&state) { tcp::ESTABLISHED } else { state }
}

/// SipHash-1-3, fed with whole words.
struct Sip {
    v: [u64; 4],
    words: u64,
}

impl Sip {
    fn new(key: &HashKey) -> Sip {
        let [k0, k1] = key.0;
        let start = [0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261];
        let v = [k0 ^ start[0], k1 ^ start[1], k0 ^ start[2], k1 ^ 0x7465_6462_7974_6573];
        Sip { v, words: 0 }
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }

    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
        self.words += 1;
    }

    fn finish(mut self) -> u64 {
        self.word((self.words * 8) << 56);
        self.v[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.word(u64::from(u32::from(v4))),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, low @ ..] = v6.octets();
                self.word(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
                self.word(u64::from_be_bytes(low));
            }
        }
    }

    fn tuple(&mut self, tuple: &Tuple) {
        self.address(tuple.source);
        self.address(tuple.target);
        let part = match tuple.part {
            Part::None => 0,
            Part::Ports { source, target } => 1 << 32 | u64::from(source) << 16 | u64::from(target),
            Part::Echo { kind, code, id } => {
                2 << 32 | u64::from(kind) << 24 | u64::from(code) << 16 | u64::from(id)
            }
        };
        self.word(u64::from(tuple.protocol) << 40 | part);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn extra(&mut self, extra: &Extra) {
        if let Some(labels) = extra.labels.filter(|labels| labels.iter().any(|byte| *byte != 0)) {
            self.bytes(&labels);
        }
        if let Some(helper) = &extra.helper {
            self.bytes(helper);
        }
        for adjustment in extra.adjustments.iter().flatten() {
            self.word(u64::from(adjustment.position));
            self.word(u64::from(adjustment.before) << 32 | u64::from(adjustment.after));
        }
        if let Some(proxy) = extra.synproxy {
            self.word(u64::from(proxy.initial) << 32 | u64::from(proxy.timestamp));
            self.word(u64::from(proxy.offset));
        }
        extra.expectations.iter().for_each(|expectation| self.expectation(expectation));
    }

    fn expectation(&mut self, expectation: &Expectation) {
        let Expectation { tuple, mask, nat, function, class, flags, timeout: _ } = expectation;
        self.tuple(tuple);
        self.address(mask.source);
        let kind = u64::from(*class) << 8 | u64::from(*flags);
        self.word(u64::from(mask.port) << 16 | kind);
        if let Some(nat) = nat {
            self.address(nat.address);
            self.word(u64::from(nat.port) << 1 | u64::from(nat.reply));
        }
        self.bytes(function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ExpectationMask, Zones, protocol};
    use super::*;

    const KEY: HashKey = HashKey([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);

    /// The words of SipHash-1-3 over eight bytes, computed with another implementation.
    #[test]
    fn the_hash_is_siphash_1_3() {
        use std::hash::Hasher as _;
        for word in [0, 1, 0x0706_0504_0302_0100, u64::MAX] {
            let mut sip = Sip::new(&HashKey([0, 0]));
            sip.word(word);
            // The standard library's default hasher is SipHash-1-3 with keys of zero.
            let mut other = std::hash::DefaultHasher::new();
            other.write(&word.to_le_bytes());
            assert_eq!(sip.finish(), other.finish());
        }
    }

    #[test]
    fn what_is_not_compared_does_not_change_the_sum() {
        let part = Part::Ports { source: 40000, target: 80 };
        let (source, target) = ([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let original = Tuple { source, target, protocol: protocol::TCP, part };
        let key = FlowKey { original, zones: Zones::default() };
        let state = State::Tcp { state: tcp::ESTABLISHED, flags: [3, 3], scales: [7, 7] };
        let reply = original.inverse();
        let flow = Flow { key, reply, status: 0xe, timeout: 5, mark: 0, state, extra: None };
        let sum = KEY.value(&flow);
        let liberal = State::Tcp { state: tcp::ESTABLISHED, flags: [11, 11], scales: [7, 7] };
        assert_eq!(KEY.value(&Flow { timeout: 9, state: liberal, ..flow.clone() }), sum);
        assert_ne!(KEY.value(&Flow { mark: 1, ..flow.clone() }), sum);
        assert_ne!(KEY.value(&Flow { reply: original, ..flow.clone() }), sum);
        let closing = State::Tcp { state: tcp::FIN_WAIT, flags: [3, 3], scales: [7, 7] };
        assert_eq!(KEY.value(&Flow { state: closing, ..flow.clone() }), sum);
        let closed = State::Tcp { state: tcp::TIME_WAIT, flags: [3, 3], scales: [7, 7] };
        assert_ne!(KEY.value(&Flow { state: closed, ..flow.clone() }), sum);
        let extra = Extra { helper: Some(b"ftp".to_vec()), ..Extra::default() };
        let helped = Flow { extra: Some(Box::new(extra)), ..flow.clone() };
        let expecting = |timeout, port| {
            let mut flow = helped.clone();
            let part = Part::Ports { source: 0, target: port };
            let mask = ExpectationMask { source: [255; 4].into(), port: 0 };
            let (function, tuple) = (Vec::new(), Tuple { part, ..original });
            let one = Expectation { tuple, mask, nat: None, function, class: 0, flags: 0, timeout };
            flow.extra.as_mut().unwrap().set_expectations(vec![one]);
            KEY.value(&flow)
        };
        assert_ne!(expecting(300, 9), KEY.value(&helped));
        assert_eq!(expecting(300, 9), expecting(7, 9));
        assert_ne!(expecting(300, 9), expecting(300, 10));
        let zone = Zones { original: 1, reply: 1 };
        assert_ne!(KEY.name(&FlowKey { zones: zone, ..key }), KEY.name(&key));
    }
}
