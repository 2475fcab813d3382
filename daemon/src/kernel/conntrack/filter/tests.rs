use super::*;
use crate::kernel::conntrack::decode::recorded::{self, bytes};

const OURS: [u32; 2] = [4711, 0xdead_beef];

/// Runs a filter as the kernel would (`net/core/filter.c`); true if the message passes.
fn passes(program: &[Instruction], message: &[u8]) -> bool {
    let (mut accumulator, mut index, mut at) = (0_u32, 0_u32, 0_usize);
    loop {
        let Instruction { code, if_true, if_false, operand } = program[at];
        at += 1;
        match code {
            LOAD_NUMBER => accumulator = operand,
            LOAD_INDEX => index = operand,
            COPY_TO_INDEX => index = accumulator,
            LOAD_WORD if operand == FIND_ATTRIBUTE => {
                accumulator = find(message, accumulator, index);
            }
            LOAD_WORD if operand == FIND_NESTED => {
                accumulator = find_nested(message, accumulator, index);
            }
            LOAD_WORD => match load::<4>(message, operand) {
                Some(word) => accumulator = u32::from_be_bytes(word),
                None => return false,
            },
            LOAD_HALF => match load::<2>(message, operand) {
                Some(half) => accumulator = u16::from_be_bytes(half).into(),
                None => return false,
            },
            LOAD_BYTE => match load::<1>(message, operand) {
                Some([byte]) => accumulator = byte.into(),
                None => return false,
            },
            LOAD_WORD_AT_INDEX => match load::<4>(message, index.wrapping_add(operand)) {
                Some(word) => accumulator = u32::from_be_bytes(word),
                None => return false,
            },
            LOAD_BYTE_AT_INDEX => match load::<1>(message, index.wrapping_add(operand)) {
                Some([byte]) => accumulator = byte.into(),
                None => return false,
            },
            JUMP_IF_EQUAL => {
                at += usize::from(if accumulator == operand { if_true } else { if_false });
            }
            RETURN => return operand != DROP,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}

fn load<const N: usize>(message: &[u8], at: u32) -> Option<[u8; N]> {
    let at = at as usize;
    message.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The offset of the attribute of a type in a row that starts at `at`; 0 if there is none.
fn find(message: &[u8], at: u32, kind: u32) -> u32 {
    let mut at = at as usize;
    while let Some(header) = message.get(at..at + 4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let found = u32::from(u16::from_ne_bytes([header[2], header[3]]) & 0x3fff);
        if length < 4 || at + length > message.len() {
            return 0;
        }
        if found == kind {
            return u32::try_from(at).unwrap();
        }
        at += length.next_multiple_of(4);
    }
    0
}

fn find_nested(message: &[u8], at: u32, kind: u32) -> u32 {
    let Some([low, high]) = load::<2>(message, at) else { return 0 };
    let end = at as usize + usize::from(u16::from_ne_bytes([low, high]));
    message.get(..end).map_or(0, |inner| find(inner, at + 4, kind))
}

fn set_port(bytes: &mut [u8], port: u32) {
    bytes[12..16].copy_from_slice(&port.to_ne_bytes());
}

/// The recorded message of an established connection, with another state.
fn in_state(state: u8) -> Vec<u8> {
    let mut bytes = bytes(recorded::TCP_ESTABLISHED);
    let state_at = 20 + 2 * 52 + 3 * 8 + 4 + 4 + 4;
    assert_eq!(bytes[state_at], tcp::ESTABLISHED);
    bytes[state_at] = state;
    bytes
}

#[test]
fn only_what_is_established_and_what_is_over_is_heard_of_tcp() {
    let program = program(&OURS);
    for state in 0..=12 {
        let unheard = UNHEARD.contains(&state) || CLOSING.contains(&state);
        assert_eq!(passes(&program, &in_state(state)), !unheard, "{state}");
    }
    assert!(!passes(&program, &bytes(recorded::TCP_LAST_ACK)));
    assert!(passes(&program, &bytes(recorded::TCP_TIME_WAIT)));
    assert!(passes(&program, &bytes(recorded::TCP_TRANSLATED)));
}

#[test]
fn of_a_connection_that_begins_labels_are_heard() {
    let mut syn = bytes(recorded::TCP_NEW);
    assert!(passes(&program(&OURS), &syn), "with a label");
    // The same attribute under a number that nobody reads.
    let labels_at = syn.windows(4).position(|head| head == [0x14, 0, 0x16, 0]).unwrap();
    syn[labels_at + 2] = 0x3f;
    assert!(!passes(&program(&OURS), &syn), "without");
    // What a SYN proxy remembers: an initial sequence number, or nothing.
    syn[labels_at + 2] = u8::try_from(a::CTA_SYNPROXY).unwrap();
    for (number, is_heard) in [([0, 0, 0, 7], true), ([0; 4], false)] {
        syn[labels_at + 4..labels_at + 8].copy_from_slice(&[8, 0, 1, 0]);
        syn[labels_at + 8..labels_at + 12].copy_from_slice(&number);
        assert_eq!(passes(&program(&OURS), &syn), is_heard, "{number:?}");
    }
}

#[test]
fn expectations_pass_whatever_their_timeout_looks_like_unless_we_did_it() {
    // Its type is that of the protocol information of a connection.
    for timeout in [[4, 0, 1, 0], [0, 0, 1, 44], [0; 4], [8, 0, 1, 0x80]] {
        let mut expected = bytes(recorded::TCP_LAST_ACK);
        expected[4..6].copy_from_slice(&a::IPCTNL_MSG_EXP_NEW.to_ne_bytes());
        expected.truncate(20);
        expected.extend([8, 0, 4, 0]);
        expected.extend(timeout);
        assert!(passes(&program(&OURS), &expected));
        set_port(&mut expected, OURS[1]);
        assert!(!passes(&program(&OURS), &expected));
    }
}

#[test]
fn the_end_of_what_is_over_is_not_heard_and_any_other_end_is() {
    let program = program(&OURS);
    assert!(!passes(&program, &bytes(recorded::TCP_DESTROYED)));
    for state in 0..=12 {
        let mut end = in_state(state);
        end[4..6].copy_from_slice(&a::IPCTNL_MSG_CT_DELETE.to_ne_bytes());
        let unheard = UNHEARD.contains(&state) || OVER.contains(&state);
        assert_eq!(passes(&program, &end), !unheard, "{state}");
    }
    let mut end = bytes(recorded::UDP_ZONE);
    end[4..6].copy_from_slice(&a::IPCTNL_MSG_CT_DELETE.to_ne_bytes());
    assert!(passes(&program, &end));
}

#[test]
fn other_protocols_pass_unless_we_did_it() {
    let (ours, without) = (program(&OURS), program(&[]));
    for hex in [recorded::UDP_ZONE, recorded::UDP_V6_TRANSLATED, recorded::PING_V6_ANSWERED] {
        let mut bytes = bytes(hex);
        for (port, is_ours) in [(0, false), (4711, true), (0xdead_beef, true), (4712, false)] {
            set_port(&mut bytes, port);
            assert_eq!(passes(&ours, &bytes), !is_ours);
            assert!(passes(&without, &bytes));
        }
    }
}

#[test]
fn port_0_is_never_ours() {
    assert_eq!(program(&[0]), program(&[]));
    assert!(passes(&program(&[0]), &bytes(recorded::PING)));
}

#[test]
fn tcp_without_protocol_information_passes() {
    let mut bytes = bytes(recorded::TCP_LAST_ACK);
    let info_kind_at = 20 + 2 * 52 + 3 * 8 + 2;
    assert_eq!(bytes[info_kind_at], 4);
    bytes[info_kind_at] = 0x3f;
    assert!(passes(&program(&OURS), &bytes));
}

#[test]
fn the_filter_ends_on_any_bytes() {
    let program = program(&OURS);
    for hex in recorded::ALL {
        let whole = bytes(hex);
        for position in 0..whole.len() {
            passes(&program, &whole[..position]);
            for value in [0, 1, 4, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[position] = value;
                passes(&program, &changed);
            }
        }
    }
}
