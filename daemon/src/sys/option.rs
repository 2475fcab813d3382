//! Socket options and binding, for what the socket crates do not offer.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::address::RawAddress;
use super::checked;

/// Sets an option whose value is a C `int`.
pub fn set_int(socket: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_bytes(socket, level, name, &value.to_ne_bytes())
}

/// Sets an option whose value is a structure, given as its bytes.
pub fn set_bytes(socket: impl AsFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = socket_length(value.len())?;
    // SAFETY: the kernel reads at most `length` bytes from `value`, which lives through the call.
    checked(unsafe {
        let descriptor = socket.as_fd().as_raw_fd();
        libc::setsockopt(descriptor, level, name, value.as_ptr().cast(), length).into()
    })?;
    Ok(())
}

/// Binds a socket to an address.
pub fn bind(socket: impl AsFd, address: &RawAddress) -> io::Result<()> {
    let bytes = address.filled();
    let length = socket_length(bytes.len())?;
    // SAFETY: the kernel reads at most `length` bytes from `bytes`, which lives through the call.
    checked(unsafe {
        libc::bind(socket.as_fd().as_raw_fd(), bytes.as_ptr().cast(), length).into()
    })?;
    Ok(())
}

/// The user who owns the process at the other end of a Unix socket: who connected, or who listened.
pub fn peer_user(socket: impl AsFd) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = socket_length(size_of::<libc::ucred>())?;
    // SAFETY: the kernel writes at most `length` bytes, the size of the structure, and sets `length`.
    checked(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        let descriptor = socket.as_fd().as_raw_fd();
        let space = (&raw mut peer).cast();
        libc::getsockopt(descriptor, level, name, space, &raw mut length).into()
    })?;
    Ok(peer.uid)
}

/// The address that a socket is bound to.
pub fn bound_address(socket: impl AsFd) -> io::Result<RawAddress> {
    let mut address = RawAddress::default();
    let mut length = socket_length(address.space().len())?;
    // SAFETY: the kernel writes at most `length` bytes, the size of the space, and sets `length`.
    checked(unsafe {
        let space = address.space().as_mut_ptr().cast();
        libc::getsockname(socket.as_fd().as_raw_fd(), space, &raw mut length).into()
    })?;
    address.set_length(length as usize);
    Ok(address)
}

/// Asks for a receive buffer of `bytes`, beyond the system's limit where we are allowed to.
pub fn set_receive_buffer(socket: impl AsFd, bytes: i32) -> io::Result<()> {
    let forced = set_int(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes);
    forced.or_else(|_| set_int(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
}

/// How many datagrams a socket has lost so far because its buffer was full.
pub fn dropped_datagrams(socket: impl AsFd) -> io::Result<u32> {
    const POSITION: usize = libc::SK_MEMINFO_DROPS as usize;
    // Older kernels know fewer figures than newer ones: this is the last that we need.
    let mut figures = [0_u32; POSITION + 1];
    let mut length = socket_length(size_of_val(&figures))?;
    // SAFETY: the kernel writes at most `length` bytes, the size of `figures`, and sets `length`.
    checked(unsafe {
        let (descriptor, space) = (socket.as_fd().as_raw_fd(), figures.as_mut_ptr().cast());
        let (level, name) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
        libc::getsockopt(descriptor, level, name, space, &raw mut length).into()
    })?;
    Ok(figures[POSITION])
}

fn socket_length(length: usize) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
