//! How much is read. What is more is told as unreadable.

/// The most bytes of one file.
pub const FILE_MAX: usize = 1 << 20;
/// The most bytes of all files together.
pub const BYTES_MAX: usize = 4 << 20;
/// The most files.
pub const FILES_MAX: usize = 256;
/// Files that include files.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// The most paths that the braces of one `include` stand for.
pub const BRACES_MAX: usize = 256;
/// The most names that are looked at in one directory.
pub const DIRECTORY_MAX: usize = 4_096;
/// The most lines, those that variables and `~SEQ` make included.
pub const LINES_MAX: usize = 65_536;
/// The most bytes of one line, variables replaced.
pub const LINE_MAX: usize = 16_384;
/// The most bytes of all lines together, variables replaced.
pub const TEXT_MAX: usize = 16 << 20;
/// The most variables that are replaced in one line, one within another included.
pub const REPLACED_MAX: usize = 1_024;
/// The most variables.
pub const VARIABLES_MAX: usize = 4_096;
/// The most lines that one `~SEQ` or `~LST` makes.
pub const GENERATED_MAX: usize = 4_096;
/// The most times that a file or a directory is looked for.
pub const LOOKUPS_MAX: usize = 4_096;
/// The most words of a statement.
pub const WORDS_MAX: usize = 1_024;
/// The most instances: as many groups may be, each with two routers.
pub const INSTANCES_MAX: usize = 1_024;
/// The most checks.
pub const CHECKS_MAX: usize = 1_024;
/// Blocks within blocks.
pub const NESTING_MAX: usize = 16;
