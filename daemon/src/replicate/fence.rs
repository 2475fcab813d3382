//! States before addresses: who is about to put an address into the kernel waits until the thread has
//! done all that came before.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The longest wait for states: an address never comes later than this because of them.
pub const STATES_WITHIN: Duration = Duration::from_millis(50);

/// The number of the last letter of its kind that was reached.
#[derive(Debug, Default)]
pub(super) struct Fence {
    reached: Mutex<u64>,
    moved: Condvar,
}

impl Fence {
    /// All that came before the letter with this number is in the kernel's table.
    pub fn reach(&self, number: u64) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = number;
        self.moved.notify_all();
    }
}

/// A place in the queue of letters.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(super) fence: Arc<Fence>,
    pub(super) number: u64,
}

impl Ticket {
    /// Waits until everything before this place is done, for up to [`STATES_WITHIN`]; `false` if it is not.
    pub fn wait(&self) -> bool {
        let reached = self.fence.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |reached: &mut u64| *reached < self.number;
        let (reached, _) = self
            .fence
            .moved
            .wait_timeout_while(reached, STATES_WITHIN, waits)
            .unwrap_or_else(PoisonError::into_inner);
        *reached >= self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_waits_for_its_place_and_not_for_ever() {
        let fence = Arc::new(Fence::default());
        let ticket = Ticket { fence: Arc::clone(&fence), number: 2 };
        fence.reach(1);
        assert!(!ticket.wait(), "nobody comes");
        let waiter = std::thread::spawn({
            let ticket = ticket.clone();
            move || ticket.wait()
        });
        fence.reach(2);
        assert!(waiter.join().unwrap() && ticket.wait());
    }
}
