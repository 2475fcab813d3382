//! What a protocol remembers of a connection, and what few connections have.

use evergate_core::flow::{
    Extra, HELPER_NAME_MAX, LABELS_BYTES, SequenceAdjustment, State, Synproxy,
};

use super::super::attributes as a;
use super::{DecodeError, Present, byte, each, fixed, word};
use crate::kernel::conntrack::encode::SCALE_MAX;

/// Reads what a protocol remembers; `None` if it tells no state.
pub(super) fn state(bytes: &[u8], present: &mut Present) -> Result<Option<State>, DecodeError> {
    let mut state = None;
    each(bytes, |kind, value| {
        state = match kind {
            a::CTA_PROTOINFO_TCP => tcp(value, present)?,
            a::CTA_PROTOINFO_SCTP => sctp(value)?,
            a::CTA_PROTOINFO_DCCP => dccp(value)?,
            _ => state,
        };
        Ok(())
    })?;
    if state.is_some() {
        present.add(Present::PROTOCOL_INFO);
    }
    Ok(state)
}

fn tcp(bytes: &[u8], present: &mut Present) -> Result<Option<State>, DecodeError> {
    let (mut state, mut flags, mut scales) = (None, [None; 2], [None; 2]);
    each(bytes, |kind, value| {
        // The second byte of the flags is a mask, which matters in requests alone.
        let flag_bits = || fixed::<2>(kind, value).map(|[bits, _]| Some(bits));
        let scale = || byte(kind, value).map(|scale| Some(scale.min(SCALE_MAX)));
        match kind {
            a::CTA_PROTOINFO_TCP_STATE => state = Some(byte(kind, value)?),
            a::CTA_PROTOINFO_TCP_WSCALE_ORIGINAL => scales[0] = scale()?,
            a::CTA_PROTOINFO_TCP_WSCALE_REPLY => scales[1] = scale()?,
            a::CTA_PROTOINFO_TCP_FLAGS_ORIGINAL => flags[0] = flag_bits()?,
            a::CTA_PROTOINFO_TCP_FLAGS_REPLY => flags[1] = flag_bits()?,
            _ => {}
        }
        Ok(())
    })?;
    if flags.iter().chain(&scales).all(Option::is_some) {
        present.add(Present::WINDOW);
    }
    Ok(state.map(|state| State::Tcp {
        state,
        flags: flags.map(Option::unwrap_or_default),
        scales: scales.map(Option::unwrap_or_default),
    }))
}

fn sctp(bytes: &[u8]) -> Result<Option<State>, DecodeError> {
    let (mut state, mut tags) = (None, [0; 2]);
    each(bytes, |kind, value| {
        match kind {
            a::CTA_PROTOINFO_SCTP_STATE => state = Some(byte(kind, value)?),
            a::CTA_PROTOINFO_SCTP_VTAG_ORIGINAL => tags[0] = word(kind, value)?,
            a::CTA_PROTOINFO_SCTP_VTAG_REPLY => tags[1] = word(kind, value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(state.map(|state| State::Sctp { state, tags }))
}

fn dccp(bytes: &[u8]) -> Result<Option<State>, DecodeError> {
    let (mut state, mut role, mut sequence) = (None, 0, 0);
    each(bytes, |kind, value| {
        match kind {
            a::CTA_PROTOINFO_DCCP_STATE => state = Some(byte(kind, value)?),
            a::CTA_PROTOINFO_DCCP_ROLE => role = byte(kind, value)?,
            a::CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ => {
                sequence = u64::from_be_bytes(fixed(kind, value)?);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(state.map(|state| State::Dccp { state, role, sequence }))
}

/// Reads an attribute that few connections have; others are passed over.
pub(super) fn extra(
    kind: u16,
    value: &[u8],
    extra: &mut Extra,
    present: &mut Present,
) -> Result<(), DecodeError> {
    match kind {
        a::CTA_LABELS => {
            extra.labels = Some(labels(value)?);
            present.add(Present::LABELS);
        }
        a::CTA_HELP => {
            extra.helper = helper(value)?;
            present.add(Present::HELPER);
        }
        a::CTA_SEQ_ADJ_ORIG | a::CTA_SEQ_ADJ_REPLY => {
            let both = extra.adjustments.get_or_insert([NO_ADJUSTMENT; 2]);
            both[usize::from(kind - a::CTA_SEQ_ADJ_ORIG)] = adjustment(value)?;
            present.add(Present::ADJUSTMENTS);
        }
        a::CTA_SYNPROXY => {
            // Every connection that was made by a request has one that is empty.
            extra.synproxy = Some(synproxy(value)?).filter(|synproxy| *synproxy != NO_SYNPROXY);
            present.add(Present::SYNPROXY);
        }
        _ => {}
    }
    Ok(())
}

const NO_ADJUSTMENT: SequenceAdjustment = SequenceAdjustment { position: 0, before: 0, after: 0 };

const NO_SYNPROXY: Synproxy = Synproxy { initial: 0, timestamp: 0, offset: 0 };

/// A kernel may have room for fewer labels than we do.
fn labels(value: &[u8]) -> Result<[u8; LABELS_BYTES], DecodeError> {
    let mut labels = [0; LABELS_BYTES];
    let room = labels.get_mut(..value.len()).ok_or(DecodeError::Attribute(a::CTA_LABELS))?;
    room.copy_from_slice(value);
    Ok(labels)
}

/// `None` for an empty name, which means no helper.
fn helper(bytes: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut name = None;
    each(bytes, |kind, value| {
        if kind == a::CTA_HELP_NAME {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            if text.len() > HELPER_NAME_MAX {
                return Err(DecodeError::Attribute(a::CTA_HELP));
            }
            name = if text.is_empty() { None } else { Some(text.to_vec()) };
        }
        Ok(())
    })?;
    Ok(name)
}

fn adjustment(bytes: &[u8]) -> Result<SequenceAdjustment, DecodeError> {
    let mut adjustment = NO_ADJUSTMENT;
    each(bytes, |kind, value| {
        match kind {
            a::CTA_SEQADJ_CORRECTION_POS => adjustment.position = word(kind, value)?,
            a::CTA_SEQADJ_OFFSET_BEFORE => adjustment.before = word(kind, value)?,
            a::CTA_SEQADJ_OFFSET_AFTER => adjustment.after = word(kind, value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(adjustment)
}

fn synproxy(bytes: &[u8]) -> Result<Synproxy, DecodeError> {
    let mut synproxy = NO_SYNPROXY;
    each(bytes, |kind, value| {
        match kind {
            a::CTA_SYNPROXY_ISN => synproxy.initial = word(kind, value)?,
            a::CTA_SYNPROXY_ITS => synproxy.timestamp = word(kind, value)?,
            a::CTA_SYNPROXY_TSOFF => synproxy.offset = word(kind, value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(synproxy)
}
