//! What makes two moments the same: the fingerprint of a world in canonical form.
//!
//! Every instant counts as its distance from now, and an instant so long ago that nothing can depend
//! on it any more counts as that old; numbers that only ever grow count as their distance from the
//! newest one; what is only written down for people does not count. The walk over the fields is
//! serde's, so nothing in the machines has to know of it: fields are known by their names.
use std::time::Duration;

use evergate_core::Instant;
use serde::Serialize;
use serde::ser::{self, Serializer};

use crate::mixer::Mixer;
use crate::world::World;

/// Fields that are only for people, or constant, or whose value is arbitrary, or whose effect does not
/// reach into a coarse world: there the dead time is at its upper bound whatever the lateness. A match,
/// as in [`horizon`]: it is asked for each field of each state, and looks at names of the same length only.
fn is_ignored(key: &str) -> bool {
    matches!(
        key,
        "config"
            | "asked"
            | "term"
            | "stamp"
            | "round_trip"
            | "detect"
            | "lateness"
            | "last_change"
            | "alarms"
            | "touched_at"
            | "holder"
            | "peer_advert_at"
            | "put_back"
            | "crashes"
            | "frozen_at"
            | "due"
            | "deadline"
            | "kill_reason"
            | "sequences"
            | "births"
            | "differs_since"
            | "tie"
    )
}

/// How long after it an instant can matter, by the name of its field, in seconds. Lonely leases look
/// back 10 s, dead times 3 s and twice that, laws 16 s.
fn horizon(key: &str) -> i64 {
    match key {
        "since" | "failback_not_before" | "down_at" | "at" => 0,
        "met_at" => 1,
        "heard_us_at" | "awake" => 7,
        "heard_at" | "started_at" => 10,
        "disturbed" => 16,
        "vacant" | "both" => 17,
        "differs" => 61,
        _ => 12,
    }
}

/// How many numbers behind the newest one packets can still be under way.
const REACH: u32 = 16;
/// How many numbers behind the newest one a packet is old, however old it is.
const OLD: u64 = evergate_core::detector::REPLAY_WINDOW as u64 + 1;
const SECOND: i64 = 1_000_000_000;

/// The fingerprint of a world: equal for worlds that go on alike. Two different ones share it with a
/// probability of 2^-128.
pub fn fingerprint(world: &World) -> u128 {
    let mut canon = Canon {
        mixer: Mixer::default(),
        now: world.now,
        world,
        key: "",
        speaker: None,
        group: 0,
        serials: [0; 8],
        in_age: false,
    };
    let parts = (&world.hosts, &world.wire, &world.blocked, &world.filtered, &world.neighbour);
    let rest = (&world.records, &world.budgets, &world.laws, &world.entries, world.touched);
    let done = (parts, rest).serialize(&mut canon).is_ok();
    canon.key = "disturbed";
    let all = done && world.disturbed.serialize(&mut canon).is_ok();
    assert!(all, "hashing cannot fail");
    canon.mixer.whole()
}

struct Canon<'a> {
    mixer: Mixer,
    now: Instant,
    world: &'a World,
    /// The field that is being written.
    key: &'static str,
    /// The process whose number comes next: node and birth.
    speaker: Option<(usize, usize)>,
    group: usize,
    /// The newest serial of each group of the host that is being written.
    serials: [u64; 8],
    in_age: bool,
}

impl Canon<'_> {
    fn put(&mut self, word: u64) {
        self.mixer.put(word);
    }

    fn moment(&mut self, at: Instant) {
        let distance = i128::from(at.as_nanos()) - i128::from(self.now.as_nanos());
        let distance = i64::try_from(distance).unwrap_or(i64::MAX);
        self.put(distance.max(-horizon(self.key) * SECOND).cast_unsigned());
    }

    fn number(&mut self, number: u64) {
        match self.key {
            "newest" | "sequence" => {
                let sent = self.speaker.and_then(|(node, birth)| self.sent(node, birth));
                self.put(sent.map_or(number, |sent| sent.wrapping_sub(number).min(OLD)));
            }
            "seen" => self.put(number & u64::from((1u32 << REACH) - 1)),
            "serial" => {
                let group = self.group.min(self.serials.len() - 1);
                let newest = &mut self.serials[group];
                // The core's own serial comes first, then what the kernel still has of it.
                *newest = (*newest).max(number);
                let behind = *newest - number;
                self.put(behind);
            }
            "id" | "group" => {
                self.group = usize::try_from(number).unwrap_or(0);
                self.put(number);
            }
            _ => self.put(number),
        }
    }

    fn sent(&self, node: usize, birth: usize) -> Option<u64> {
        self.world.hosts.get(node)?.sequences.get(birth.checked_sub(1)?).copied()
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Never> {
        if is_ignored(key) {
            return Ok(());
        }
        let outer = std::mem::replace(&mut self.key, key);
        if key == "core" {
            self.serials = [0; 8];
        }
        let done = value.serialize(&mut *self);
        self.key = outer;
        done
    }
}

/// The error of a hash, which has none.
#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hashing failed")
    }
}

impl std::error::Error for Never {}

impl ser::Error for Never {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Never
    }
}

macro_rules! numbers {
    ($($name:ident $type:ty),*) => {$(
        fn $name(self, value: $type) -> Result<(), Never> {
            self.number(u64::from(value));
            Ok(())
        }
    )*};
}

impl Serializer for &mut Canon<'_> {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers!(serialize_bool bool, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);

    fn serialize_u128(self, value: u128) -> Result<(), Never> {
        let bytes = value.to_le_bytes();
        self.serialize_bytes(&bytes)
    }
    fn serialize_i8(self, value: i8) -> Result<(), Never> {
        self.serialize_i64(i64::from(value))
    }
    fn serialize_i16(self, value: i16) -> Result<(), Never> {
        self.serialize_i64(i64::from(value))
    }
    fn serialize_i32(self, value: i32) -> Result<(), Never> {
        self.serialize_i64(i64::from(value))
    }
    fn serialize_i64(self, value: i64) -> Result<(), Never> {
        self.put(value.cast_unsigned());
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), Never> {
        self.put(u64::from(value.to_bits()));
        Ok(())
    }
    fn serialize_f64(self, value: f64) -> Result<(), Never> {
        self.put(value.to_bits());
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), Never> {
        self.put(u64::from(u32::from(value)));
        Ok(())
    }
    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.serialize_bytes(value.as_bytes())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.put(value.len() as u64);
        value.iter().for_each(|byte| self.put(u64::from(*byte)));
        Ok(())
    }
    fn serialize_none(self) -> Result<(), Never> {
        self.put(0x6e6f);
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        self.put(0x736f);
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        at: u32,
        _: &'static str,
    ) -> Result<(), Never> {
        self.put(u64::from(at));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        match name {
            "Instant" => {
                let mut raw = Raw::default();
                value.serialize(&mut raw)?;
                self.moment(Instant::from_nanos(raw.number));
                Ok(())
            }
            "Incarnation" => {
                let mut raw = Raw::default();
                value.serialize(&mut raw)?;
                let (node, high, low) = (raw.bytes[0], raw.bytes[1], raw.bytes[2]);
                let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                self.speaker = Some((place(node), place(high << 8 | low)));
                self.put(node << 32 | high << 16 | low);
                Ok(())
            }
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        at: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.put(u64::from(at));
        value.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Never> {
        self.put(len.unwrap_or(0) as u64);
        Ok(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self, Never> {
        Ok(self)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Never> {
        Ok(self)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        at: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Never> {
        self.put(u64::from(at));
        Ok(self)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, Never> {
        Ok(self)
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, Never> {
        self.in_age = name == "Duration" && self.key == "age";
        Ok(self)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        at: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Never> {
        self.put(u64::from(at));
        Ok(self)
    }
}

macro_rules! elements {
    ($($kind:ident $method:ident),*) => {$(
        impl ser::$kind for &mut Canon<'_> {
            type Ok = ();
            type Error = Never;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                value.serialize(&mut **self)
            }
            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        }
    )*};
}

elements!(SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

impl ser::SerializeMap for &mut Canon<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        key.serialize(&mut **self)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

impl ser::SerializeStruct for &mut Canon<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        if self.in_age {
            // An age that nothing depends on any more is as good as any older one.
            let mut raw = Raw::default();
            value.serialize(&mut raw)?;
            if key == "secs" {
                self.in_age = raw.number < AGE_MAX.as_secs();
                self.put(raw.number.min(AGE_MAX.as_secs()));
                if !self.in_age {
                    self.key = "old age";
                }
                return Ok(());
            }
            self.put(raw.number);
            return Ok(());
        }
        if self.key == "old age" {
            return Ok(());
        }
        self.field(key, value)
    }
    fn end(self) -> Result<(), Never> {
        self.in_age = false;
        if self.key == "old age" {
            self.key = "age";
        }
        Ok(())
    }
}

impl ser::SerializeStructVariant for &mut Canon<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.field(key, value)
    }
    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

/// The longest age in a report that still says something: twice the dead time and more.
const AGE_MAX: Duration = Duration::from_secs(8);

mod raw;
use raw::Raw;
