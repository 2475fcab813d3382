//! Work that is shared out among threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;

/// How many threads work at the same time.
const THREADS: u64 = 2;

/// Does a piece of work for each number of a range, whichever thread is free. What came of it is
/// gathered by each thread for itself, so that it takes no more room the more there is to do.
pub fn share_out<T: Default + Send>(
    numbers: Range<u64>,
    work: impl Fn(&mut T, u64) + Sync,
) -> Vec<T> {
    let next = AtomicU64::new(numbers.start);
    let run = || {
        let mut gathered = T::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return gathered;
            }
            work(&mut gathered, number);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        let join = |thread: ScopedJoinHandle<'_, T>| thread.join().expect("a walk does not panic");
        threads.into_iter().map(join).collect()
    })
}

/// Does it for each of some things; what came of each is in their order.
pub fn share_out_each<I: Sync, T: Send>(things: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let count = u64::try_from(things.len()).unwrap_or(u64::MAX);
    let gathered = share_out(0..count, |gathered: &mut Vec<_>, number| {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        gathered.extend(things.get(at).map(|thing| (at, work(thing))));
    });
    let mut all: Vec<(usize, T)> = gathered.into_iter().flatten().collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, came)| came).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_done_once_and_all_are_in_their_order() {
        let gathered = share_out(3..40, |gathered: &mut Vec<u64>, number| gathered.push(number));
        let mut numbers = gathered.concat();
        numbers.sort_unstable();
        assert_eq!(numbers, (3..40).collect::<Vec<_>>());
        let words = ["a", "bb", "", "cccc"];
        assert_eq!(share_out_each(&words, |word| word.len()), [1, 2, 0, 4]);
    }
}
