use super::*;

/// The vector of `docs/wire.md`, computed with another implementation of HKDF and AES-GCM.
const VECTOR_HEADER: &[u8] = b"EG\x01\x01header";
const VECTOR_PLAINTEXT: &[u8] = b"a heartbeat";
const VECTOR_SEALED: &str = "dd95349294357e8afff76b465127bb8dfb2c72c45b02fb3bc3c182";

fn ids() -> SealIds {
    SealIds {
        cluster: 0x1122_3344,
        node: 0x5566_7788,
        process: 0,
        incarnation: *b"incarnation-0001",
    }
}

fn key(byte: u8) -> ClusterKey {
    ClusterKey::new([byte; 32])
}

fn seal(key: &ClusterKey, ids: SealIds, sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Sealer::new(key, ids, None).seal(VECTOR_HEADER, sequence, VECTOR_PLAINTEXT, &mut out).unwrap();
    out.split_off(VECTOR_HEADER.len())
}

fn open(opener: &mut Opener, ids: &SealIds, sequence: u64, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![9];
    let result = opener.open(ids, VECTOR_HEADER, sequence, sealed, &mut out);
    assert!(result.is_ok() || out.is_empty(), "nothing is handed out after an error");
    result.ok().map(|()| out)
}

#[test]
fn another_implementation_seals_to_the_same_bytes() {
    let secret = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let hex: String = seal(&ClusterKey::new(secret), ids(), 0x0102)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, VECTOR_SEALED);
}

#[test]
fn what_was_sealed_opens_and_nothing_that_was_changed() {
    let sealed = seal(&key(1), ids(), 7);
    let mut opener = Opener::new(&[key(1)]);
    assert_eq!(open(&mut opener, &ids(), 7, &sealed).as_deref(), Some(VECTOR_PLAINTEXT));
    assert_eq!(open(&mut opener, &ids(), 8, &sealed), None, "the sequence is authenticated");
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert_eq!(open(&mut opener, &ids(), 7, &changed), None);
    }
    for length in 0..sealed.len() {
        assert_eq!(open(&mut opener, &ids(), 7, &sealed[..length]), None);
    }
    let mut out = Vec::new();
    assert_eq!(
        opener.open(&ids(), b"EG\x01\x01heades", 7, &sealed, &mut out),
        Err(OpenError::NotAuthentic)
    );
}

#[test]
fn a_key_is_bound_to_cluster_node_process_and_incarnation() {
    let sealed = seal(&key(1), ids(), 7);
    let mut opener = Opener::new(&[key(1)]);
    let others = [
        SealIds { cluster: 1, ..ids() },
        SealIds { node: 1, ..ids() },
        SealIds { process: 1, ..ids() },
        SealIds { incarnation: [0; 16], ..ids() },
    ];
    for other in others {
        assert_eq!(open(&mut opener, &other, 7, &sealed), None);
    }
    assert_eq!(opener.cached(), 0, "an identity that opened nothing is not kept");
}

#[test]
fn any_line_of_the_key_file_opens_and_a_removed_one_does_not() {
    let (old, new) = (seal(&key(1), ids(), 7), seal(&key(2), ids(), 8));
    let mut opener = Opener::new(&[key(2), key(1)]);
    assert!(open(&mut opener, &ids(), 7, &old).is_some());
    assert!(open(&mut opener, &ids(), 8, &new).is_some());
    assert!(open(&mut opener, &ids(), 7, &old).is_some(), "both stay in the cache");
    assert_eq!(opener.cached(), 2);
    opener.rotate(&[key(2)]);
    assert!(open(&mut opener, &ids(), 7, &old).is_none());
    assert!(open(&mut opener, &ids(), 8, &new).is_some());
}

#[test]
fn no_sequence_number_is_sealed_twice_even_across_a_rotation() {
    let mut sealer = Sealer::new(&key(1), ids(), None);
    let mut out = Vec::new();
    assert_eq!(sealer.seal(b"h", 0, b"will", &mut out), Ok(()));
    assert_eq!(sealer.seal(b"h", 5, b"x", &mut out), Ok(()));
    sealer.rotate(&key(2));
    sealer.rotate(&key(1));
    for sequence in [0, 5] {
        let refused = sealer.seal(b"h", sequence, b"x", &mut out);
        assert_eq!(refused, Err(SealError::SequenceNotAbove { last: 5 }));
    }
    // The keys were taken away and come back: another sealer goes on where the first one was.
    let mut sealer = Sealer::new(&key(1), ids(), sealer.last());
    let refused = sealer.seal(b"h", 5, b"y", &mut out);
    assert_eq!(refused, Err(SealError::SequenceNotAbove { last: 5 }));
    let long = vec![0; PLAINTEXT_BYTES_MAX + 1];
    let refused = sealer.seal(b"h", 6, &long, &mut out);
    assert_eq!(refused, Err(SealError::TooLong { bytes: PLAINTEXT_BYTES_MAX + 1 }));
}

#[test]
fn the_cache_is_bounded_per_node_and_in_all() {
    let mut opener = Opener::new(&[key(1)]);
    let open_from = |opener: &mut Opener, node: u32, life: u8| {
        let ids = SealIds { node, incarnation: [life; 16], ..ids() };
        assert!(open(opener, &ids, 1, &seal(&key(1), ids, 1)).is_some());
    };
    for life in 0..20 {
        open_from(&mut opener, 1, life);
    }
    assert_eq!(opener.cached(), DERIVED_KEYS_PER_NODE_MAX);
    for node in 0..300 {
        open_from(&mut opener, node, 0);
    }
    assert_eq!(opener.cached(), DERIVED_KEYS_MAX);
}

#[test]
fn a_key_is_never_printed() {
    assert_eq!(format!("{:?}", key(1)), "ClusterKey(secret)");
}
