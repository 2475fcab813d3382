//! Why bytes were refused: closed enums whose variants are counted one by one.

/// A closed set of reasons to refuse a packet. The packet is at fault, and the right answer is to
/// count it under this cause and to drop it.
pub trait Cause: Copy + Eq + 'static {
    /// Every cause, in the order of [`Cause::index`].
    const ALL: &'static [Self];
    /// The position in [`Cause::ALL`]: where a counter for it stands.
    fn index(self) -> usize;
    /// A short stable name for counters and status, in lower case with dashes.
    fn code(self) -> &'static str;
}

/// Declares an enum of causes: `Variant = "code"`, each with its sentence.
macro_rules! causes {
    ($(#[$doc:meta])* $name:ident { $($(#[$why:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$why])* $variant,)+ }

        impl $crate::wire::Cause for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];
            fn index(self) -> usize {
                self as usize
            }
            fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::wire::Cause::code(*self))
            }
        }

        impl std::error::Error for $name {}
    };
}
pub(crate) use causes;
