//! Waiting: which descriptors can be read, until when, and a bell between threads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// The most descriptors reported by one wait; the rest are reported by the next.
pub const READY_MAX: usize = 64;

/// A set of descriptors to wait on; each has a token of the caller's choice.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

/// What a wait found: the tokens of the descriptors that can be read, or have failed.
#[derive(Debug)]
pub struct Ready {
    events: [EpollEvent; READY_MAX],
    count: usize,
}

impl Default for Ready {
    fn default() -> Self {
        Self { events: [EpollEvent::empty(); READY_MAX], count: 0 }
    }
}

impl Ready {
    /// The tokens found by the last wait, in no particular order.
    pub fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().take(self.count).map(EpollEvent::data)
    }
}

impl Poller {
    /// An empty set, closed on exec.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Reports `token` whenever `descriptor` can be read (level-triggered).
    pub fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Reports `token` whenever `descriptor` can be read or, if asked, written.
    pub fn set_writable(&self, descriptor: impl AsFd, token: u64, want: bool) -> io::Result<()> {
        let flags =
            if want { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        Ok(self.epoll.modify(descriptor, &mut EpollEvent::new(flags, token))?)
    }

    /// Forgets a descriptor. Closing the last copy of it does the same.
    pub fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(descriptor)?)
    }

    /// Waits until something is ready, or `timeout_ms` has passed; `None` waits without a limit.
    /// A signal ends the wait with nothing ready.
    pub fn wait(&self, ready: &mut Ready, timeout_ms: Option<u16>) -> io::Result<()> {
        let timeout = timeout_ms.map_or(EpollTimeout::NONE, EpollTimeout::from);
        ready.count = match self.epoll.wait(&mut ready.events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// A timer with one absolute deadline on the boot-time clock.
#[derive(Debug)]
pub struct Timer {
    timer: TimerFd,
}

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self { timer: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)? })
    }

    /// Fires at `deadline_ns` of boot time (at once if that has passed); `None` unsets the timer.
    pub fn set(&self, deadline_ns: Option<u64>) -> io::Result<()> {
        let Some(deadline) = deadline_ns else { return Ok(self.timer.unset()?) };
        // Zero would unset the timer; a deadline beyond 292 years is as good as 292 years.
        let deadline = i64::try_from(deadline.max(1)).unwrap_or(i64::MAX);
        let expiration = Expiration::OneShot(TimeSpec::nanoseconds(deadline));
        Ok(self.timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Takes note that the timer has fired, so that it is no longer ready.
    pub fn drain(&self) -> io::Result<()> {
        match self.timer.wait() {
            Ok(()) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// A bell that one thread rings to wake another; rings add up and never block.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
}

impl Bell {
    /// A bell that has not been rung.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self { event: EventFd::from_flags(flags)? })
    }

    /// Wakes whoever waits on the bell.
    pub fn ring(&self) -> io::Result<()> {
        match self.event.write(1) {
            // Full means that nobody has answered 2^64 rings: the waiter is awake all the same.
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Silences the bell; true if it had been rung.
    pub fn drain(&self) -> io::Result<bool> {
        match self.event.read() {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::boottime_now;

    #[test]
    fn a_timer_fires_at_its_deadline_and_not_before() {
        let (poller, timer, mut ready) =
            (Poller::new().unwrap(), Timer::new().unwrap(), Ready::default());
        poller.add(&timer, 7).unwrap();
        let deadline = boottime_now() + 20_000_000;
        timer.set(Some(deadline)).unwrap();
        poller.wait(&mut ready, Some(2000)).unwrap();
        assert!(boottime_now() >= deadline);
        assert_eq!(ready.tokens().collect::<Vec<_>>(), [7]);
        timer.drain().unwrap();
        poller.wait(&mut ready, Some(0)).unwrap();
        assert_eq!(ready.tokens().count(), 0);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once_and_none_never() {
        let (poller, timer, mut ready) =
            (Poller::new().unwrap(), Timer::new().unwrap(), Ready::default());
        poller.add(&timer, 1).unwrap();
        timer.set(Some(0)).unwrap();
        poller.wait(&mut ready, Some(2000)).unwrap();
        assert_eq!(ready.tokens().count(), 1);
        timer.set(None).unwrap();
        poller.wait(&mut ready, Some(5)).unwrap();
        assert_eq!(ready.tokens().count(), 0);
    }

    #[test]
    fn a_bell_wakes_until_it_is_drained() {
        let (poller, bell, mut ready) =
            (Poller::new().unwrap(), Bell::new().unwrap(), Ready::default());
        poller.add(&bell, 3).unwrap();
        assert!(!bell.drain().unwrap());
        bell.ring().unwrap();
        bell.ring().unwrap();
        poller.wait(&mut ready, Some(2000)).unwrap();
        assert_eq!(ready.tokens().collect::<Vec<_>>(), [3]);
        assert!(bell.drain().unwrap() && !bell.drain().unwrap());
    }
}
