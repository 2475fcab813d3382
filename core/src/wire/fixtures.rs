//! What the tests of the codecs share: bytes from text, dice, and the files of vectors.

use std::path::PathBuf;

/// The bytes that a text of hexadecimal digits and white space stands for.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits: {text}");
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The hexadecimal digits of some bytes.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of a file in `conformance/wire`, without comments, each cut at its bars.
pub fn vectors(file: &str) -> Vec<Vec<String>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance/wire").join(file);
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let fields = |line: &str| line.split('|').map(|field| field.trim().to_string()).collect();
    let vectors: Vec<Vec<String>> =
        lines.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(fields).collect();
    assert!(!vectors.is_empty(), "{path:?} holds no vectors");
    vectors
}

/// The bytes of a block in `docs/wire.md`: what stands in front of the bars.
pub fn documented(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/wire.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let mark = format!("<!-- vector: {name} -->\n```\n");
    let (_, block) = page.split_once(&mark).unwrap_or_else(|| panic!("{name} is not documented"));
    let (block, _) = block.split_once("```").unwrap();
    let bytes = block.lines().filter_map(|line| line.split('|').next());
    text(&hex(&bytes.collect::<String>()))
}

/// A generator of repeatable numbers (xorshift64*); the seed is not 0.
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    /// A position in a list of `length` entries.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// A copy of `bytes` with up to four changes: bits flipped, bytes set, cut or appended.
    pub fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut mutant = bytes.to_vec();
        for _ in 0..self.below(5) {
            match (self.below(8), mutant.len()) {
                (0, length) if length > 0 => mutant.truncate(self.index(length)),
                (1, _) => mutant.extend((0..=self.below(9)).map(|n| n.to_be_bytes()[7])),
                (2..=4, length) if length > 0 => {
                    let at = self.index(length);
                    mutant[at] ^= 1 << self.below(8);
                }
                (_, length) if length > 0 => {
                    let at = self.index(length);
                    mutant[at] = self.byte();
                }
                _ => {}
            }
        }
        mutant
    }
}
