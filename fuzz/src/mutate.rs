//! Inputs that are nearly good: what is in a corpus, changed in a few places.

use evergate_sim::dice::Dice;

/// The most changes in one mutant.
const CHANGES_MAX: u64 = 4;
/// The longest mutant in bytes, unless its origin is longer.
const BYTES_MAX: usize = 4096;
/// The longest piece that is taken out, doubled or put in.
const PIECE_MAX: usize = 64;
/// Values at which readers differ.
const EDGES: [u8; 8] = [0, 1, 2, 0x0a, 0x20, 0x7f, 0x80, 0xff];

/// Writes a mutant of one of some inputs to `out`; one in five has no change at all.
pub fn mutate(dice: &mut Dice, inputs: &[Vec<u8>], out: &mut Vec<u8>) {
    out.clear();
    let Some(origin) = inputs.get(dice.place(inputs.len())) else { return };
    out.extend_from_slice(origin);
    for _ in 0..dice.below(CHANGES_MAX + 1) {
        change(dice, inputs, out);
    }
    out.truncate(BYTES_MAX.max(origin.len()));
}

fn change(dice: &mut Dice, inputs: &[Vec<u8>], out: &mut Vec<u8>) {
    let at = dice.place(out.len());
    match (dice.below(16), out.get_mut(at)) {
        (0..=3, Some(byte)) => *byte ^= 1 << dice.below(8),
        (4..=6, Some(byte)) => *byte = dice.throw().to_be_bytes()[0],
        (7..=8, Some(byte)) => *byte = EDGES[dice.place(EDGES.len())],
        (9, Some(byte)) => *byte = byte.wrapping_add(1),
        (10, Some(_)) => out.truncate(at),
        (11, Some(_)) => {
            let end = at + 1 + dice.place(PIECE_MAX.min(out.len() - at));
            out.drain(at..end.min(out.len()));
        }
        (12, Some(_)) => {
            let end = (at + 1 + dice.place(PIECE_MAX)).min(out.len());
            out.extend_from_within(at..end);
        }
        _ => {
            let piece = piece(dice, inputs);
            out.splice(at..at, piece.iter().copied());
        }
    }
}

/// A piece of any input.
fn piece<'i>(dice: &mut Dice, inputs: &'i [Vec<u8>]) -> &'i [u8] {
    let Some(other) = inputs.get(dice.place(inputs.len())) else { return &[] };
    let begin = dice.place(other.len());
    let end = (begin + 1 + dice.place(PIECE_MAX)).min(other.len());
    other.get(begin..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_mutants_and_most_differ_from_their_origin() {
        let inputs = [b"abcdefgh".to_vec(), b"".to_vec(), vec![7; 5000]];
        let made = |seed| {
            let (mut dice, mut out) = (Dice::new(seed), Vec::new());
            let mut one = || {
                mutate(&mut dice, &inputs, &mut out);
                out.clone()
            };
            (0..500).map(|_| one()).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        let changed = made(1).iter().filter(|mutant| !inputs.contains(mutant)).count();
        assert!((300..450).contains(&changed), "{changed} of 500");
        assert!(made(1).iter().all(|mutant| mutant.len() <= 5000));
    }
}
