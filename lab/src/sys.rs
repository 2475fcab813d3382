//! The lab's only unsafe code.

#![allow(unsafe_code)]

use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc::{
    AF_PACKET, ETH_P_ALL, SCHED_FIFO, SO_ATTACH_FILTER, SOL_SOCKET, SYS_pidfd_getfd,
    SYS_pidfd_open, sched_param, sched_setscheduler, setsockopt, sock_filter, sock_fprog, sockaddr,
    sockaddr_ll, socklen_t, syscall,
};
use nix::sys::socket::{LinkAddr, SockaddrLike};

/// The address to bind a packet socket to one interface, for frames of every protocol.
pub fn link_address(interface: u32) -> Option<LinkAddr> {
    let raw = sockaddr_ll {
        sll_family: u16::try_from(AF_PACKET).ok()?,
        sll_protocol: u16::try_from(ETH_P_ALL).ok()?.to_be(),
        sll_ifindex: i32::try_from(interface).ok()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = socklen_t::try_from(size_of::<sockaddr_ll>()).ok()?;
    // nix has no safe constructor of this address.
    // SAFETY: the pointer is to a whole sockaddr_ll on this stack, its family says so, and the length is its size; nix copies it.
    unsafe { LinkAddr::from_raw((&raw const raw).cast::<sockaddr>(), Some(length)) }
}

/// One line of a socket's program: the code, how many lines are skipped if a comparison holds and if not, and the value.
pub type Line = (u16, u8, u8, u32);

/// A program for [`attach_filter`].
pub fn program<const LINES: usize>(lines: [Line; LINES]) -> Vec<sock_filter> {
    lines.map(|(code, jt, jf, k)| sock_filter { code, jt, jf, k }).to_vec()
}

/// Lets only those packets reach a socket for which this program returns other than 0 (BPF, as in socket(7)).
pub fn attach_filter(socket: &OwnedFd, program: &[sock_filter]) -> nix::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let size = socklen_t::try_from(size_of::<sock_fprog>()).map_err(|_| Errno::EINVAL)?;
    let pointer = (&raw const program).cast();
    // nix has no such option.
    // SAFETY: the pointer is to a whole sock_fprog on this stack whose filter points to `len` instructions that
    // outlive the call; the kernel copies them, checks them and does not write to them.
    let result =
        unsafe { setsockopt(socket.as_raw_fd(), SOL_SOCKET, SO_ATTACH_FILTER, pointer, size) };
    Errno::result(result).map(drop)
}

/// A second descriptor of what another process has open: what is set on it is set for that process too.
pub fn descriptor_of(process: i32, descriptor: RawFd) -> nix::Result<OwnedFd> {
    // nix has neither call.
    // SAFETY: both calls take numbers only; what they return is a new descriptor that nobody else owns.
    unsafe {
        let process = owned(syscall(SYS_pidfd_open, process, 0))?;
        owned(syscall(SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0))
    }
}

/// A new descriptor that a call has returned, or why there is none.
///
/// # Safety
/// The result must be that of a call that returns a new descriptor or -1.
unsafe fn owned(result: i64) -> nix::Result<OwnedFd> {
    let descriptor = Errno::result(RawFd::try_from(result).unwrap_or(-1))?;
    // SAFETY: by the caller's word.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Lets the calling thread run before all that has no real-time priority, and before the daemons under test.
pub fn run_first() -> nix::Result<()> {
    /// Above that of the daemons, which is 20 at most.
    const PRIORITY: i32 = 40;
    // nix has no such call.
    // SAFETY: all fields of the structure are numbers, of which 0 is one.
    let mut how: sched_param = unsafe { zeroed() };
    how.sched_priority = PRIORITY;
    // SAFETY: the pointer is to a whole sched_param on this stack; the kernel copies it.
    Errno::result(unsafe { sched_setscheduler(0, SCHED_FIFO, &raw const how) }).map(drop)
}
