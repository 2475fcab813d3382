//! What few connections have, as the kernel takes it.

use evergate_core::flow::{Extra, HELPER_NAME_MAX, LABELS_BYTES};

use super::super::attributes::{self as a, NESTED};
use super::{Omit, number, write_tuple};
use crate::kernel::rtnetlink::encode::Requests;

/// What can be set only when a connection is made.
pub(super) fn write_new(out: &mut Requests, extra: &Extra, omit: Omit) {
    if let Some(master) = extra.master.filter(|_| !omit.has(Omit::MASTER)) {
        // It makes the connection an expected one; the bit itself must not be sent.
        write_tuple(out, a::CTA_TUPLE_MASTER, &master, None);
    }
    if let Some(name) = extra.helper.as_ref().filter(|_| !omit.has(Omit::HELPER)) {
        out.nested(a::CTA_HELP | NESTED, |out| {
            let mut text = [0; HELPER_NAME_MAX + 1];
            let length = name.len().min(HELPER_NAME_MAX);
            text[..length].copy_from_slice(&name[..length]);
            out.attribute(a::CTA_HELP_NAME, &text[..=length]);
        });
    }
}

/// What can be set at any time.
pub(super) fn write_value(out: &mut Requests, extra: &Extra, omit: Omit) {
    if let Some(labels) = extra.labels.filter(|_| !omit.has(Omit::LABELS)) {
        out.attribute(a::CTA_LABELS, &labels);
        out.attribute(a::CTA_LABELS_MASK, &[0xff; LABELS_BYTES]);
    }
    if let Some(both) = extra.adjustments {
        for (kind, adjustment) in [a::CTA_SEQ_ADJ_ORIG, a::CTA_SEQ_ADJ_REPLY].into_iter().zip(both)
        {
            out.nested(kind | NESTED, |out| {
                number(out, a::CTA_SEQADJ_CORRECTION_POS, adjustment.position);
                number(out, a::CTA_SEQADJ_OFFSET_BEFORE, adjustment.before);
                number(out, a::CTA_SEQADJ_OFFSET_AFTER, adjustment.after);
            });
        }
    }
    if let Some(synproxy) = extra.synproxy {
        out.nested(a::CTA_SYNPROXY | NESTED, |out| {
            number(out, a::CTA_SYNPROXY_ISN, synproxy.initial);
            number(out, a::CTA_SYNPROXY_ITS, synproxy.timestamp);
            number(out, a::CTA_SYNPROXY_TSOFF, synproxy.offset);
        });
    }
}
