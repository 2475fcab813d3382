//! The system calls, and every `unsafe` block of the suite, each with its reason.
//!
//! Nothing here knows what Evergate is. Each function is a thin, typed door to one call of Linux;
//! byte layouts that can be written by safe code (socket addresses, ancillary data) are.
#![allow(unsafe_code)]

pub mod address;
pub mod clock;
pub mod memory;
pub mod message;
pub mod option;
pub mod process;
pub mod ready;
pub mod spawn;

use std::io;

/// The result of a call that says -1 and sets `errno` when it fails.
fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Repeats a call that a signal interrupted. The caller's sockets do not block for ever, so this ends.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
