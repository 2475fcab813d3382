//! Any bytes for everything that reads bytes.
//!
//! ```text
//!   corpus/NAME.hex ──► targets::NAME::run(bytes) ◄── libfuzzer/   guided by coverage, `make fuzz`
//!                             ▲
//!                     mutate ─┘ run                                 blind and quick, `make check`
//! ```
//!
//! The targets are the same for both drivers. The quick one needs nothing but stable Rust and repeats itself by its seed; the
//! guided one finds what is new, and leaves it in the corpus.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod mutate;
pub mod run;
pub mod targets;

#[cfg(test)]
mod tests {
    use super::*;

    /// With overflow checks and debug assertions, which the quick check of a release build has not.
    #[test]
    fn every_corpus_is_read_without_a_panic() {
        for target in &targets::ALL {
            let inputs = corpus::load(target).expect("a corpus");
            let whole = run::replay(target, &inputs);
            assert!(whole.accepted > 0, "nothing in the corpus of {} goes deep", target.name);
            let all = run::mutants(target, &inputs, target.mutants / 200, 1);
            assert!(all.executions >= 1_000, "{}", target.name);
        }
    }

    #[test]
    fn every_valid_advert_is_believed() {
        let inputs = targets::vrrp::valid();
        assert!(inputs.len() > 100, "{} kinds", inputs.len());
        for input in &inputs {
            assert!(targets::vrrp::run(input), "{}", corpus::to_hex(input));
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let target = &targets::ALL[targets::ALL.len() - 1];
        let inputs = targets::vrrp::valid();
        let once = run::mutants(target, &inputs, 4_000, 7);
        assert_eq!(run::mutants(target, &inputs, 4_000, 7), once);
        assert!(once.accepted > 0 && once.accepted < once.executions);
    }
}
