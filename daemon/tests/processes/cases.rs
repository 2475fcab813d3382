//! The claims.

use std::time::Duration;

use evergate_daemon::sys::clock::boottime_now;
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM};

use crate::world::{World, ms, send};

/// Addresses may be up on two nodes for this long (design, section 5), the 30 ms of detection on
/// the other side included.
const RELEASED_WITHIN_MS: u64 = 100;

type Case = (&'static str, fn());

pub const ALL: &[Case] = &[
    ("a_killed_core_is_resigned_for_and_restarted_as_standby", killed_core),
    ("a_frozen_core_is_killed_and_resigned_for", frozen_core),
    ("alone_a_killed_core_costs_no_address", alone),
    ("alone_a_frozen_core_is_replaced_and_costs_no_address", alone_frozen),
    ("the_third_crash_in_a_minute_costs_the_address", crash_loop),
    ("a_killed_guardian_is_replaced_and_the_core_goes_on", killed_guardian),
    ("both_killed_the_next_guardian_cleans_up", both_killed),
    ("a_stopped_guardian_is_replaced", stopped_guardian),
    ("a_killed_runner_is_replaced_and_watches", killed_runner),
    ("a_pause_of_all_processes_changes_nothing", paused),
    ("told_to_stop_all_end_and_the_lock_is_free", stopped),
    ("told_twice_to_stop_a_stubborn_core_is_killed_and_resigned_for", stubborn),
    ("a_core_that_takes_its_time_to_end_is_waited_for_at_rest", slow_end),
    ("a_reload_reaches_the_core", reloaded),
    ("a_core_that_refuses_its_configuration_ends_the_daemon_with_its_code", refused),
    ("a_second_daemon_is_refused_and_told_who_holds_the_socket", second),
    ("a_confined_core_works_and_cannot_execute", confined),
];

fn killed_core() {
    let world = World::ready(&["peers", "holds"]);
    let (core, at) = (world.core(), boottime_now());
    send(core, SIGKILL);
    assert!(world.hears_the_last_word());
    let (released_at, _) = world.wait_for("released", 1);
    assert!(ms(at, released_at) <= RELEASED_WITHIN_MS, "took {} ms", ms(at, released_at));
    world.wait_for("ready", 2);
    assert_ne!(world.core(), core);
    assert_eq!(world.count("core adopts"), 0, "standby: it adopts nothing");
    assert!(world.hears_nothing(), "the last word is said once");
}

fn frozen_core() {
    let world = World::ready(&["peers", "holds"]);
    let (core, at) = (world.core(), boottime_now());
    send(core, SIGSTOP);
    assert!(world.hears_the_last_word());
    let (released_at, _) = world.wait_for("released", 1);
    assert!(ms(at, released_at) <= RELEASED_WITHIN_MS, "took {} ms", ms(at, released_at));
    world.wait_for("ready", 2);
    assert_ne!(world.core(), core);
    assert!(!std::path::Path::new(&format!("/proc/{core}/fd/0")).exists(), "it is gone");
}

fn alone() {
    let world = World::ready(&["holds"]);
    for crash in 1..3 {
        send(world.core(), SIGKILL);
        world.wait_for("core adopts", crash);
        world.wait_for("ready", 1 + crash);
    }
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(world.count("released"), 0);
    assert!(world.hears_nothing());
}

fn alone_frozen() {
    let world = World::ready(&["holds"]);
    send(world.core(), SIGSTOP);
    world.wait_for("core adopts", 1);
    world.wait_for("ready", 2);
    assert_eq!(world.count("released"), 0);
}

fn crash_loop() {
    let world = World::ready(&["holds"]);
    for crash in 1..4 {
        send(world.core(), SIGKILL);
        world.wait_for("ready", 1 + crash);
    }
    assert!(world.hears_the_last_word());
    world.wait_for("released", 1);
    assert_eq!(world.count("core adopts"), 2);
    assert_eq!(world.count("core"), 2, "the first one, and the one after the third crash");
}

fn killed_guardian() {
    let world = World::ready(&["peers", "holds"]);
    let (core, first) = (world.core(), world.guardian());
    send(first, SIGKILL);
    let (_, next) = world.wait_for("guardian", 2);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((world.core(), world.count("ready")), (core, 1), "the same core goes on");
    assert_eq!(world.count("released"), 0);
    assert!(world.hears_nothing());
    // The new one does the duty of the old one, whatever happens.
    let at = boottime_now();
    send(core, SIGSTOP);
    let (released_at, by) = world.wait_for("released", 1);
    assert_eq!(by, next);
    assert!(ms(at, released_at) <= RELEASED_WITHIN_MS, "took {} ms", ms(at, released_at));
    world.wait_for("ready", 2);
    send(next, SIGKILL);
    world.wait_for("guardian", 3);
    send(world.guardian(), SIGTERM);
    world.wait_for("core stops", 1);
    world.wait_for("runner ended", 1);
}

fn both_killed() {
    for modes in [&["peers", "holds"][..], &["holds"]] {
        let world = World::ready(modes);
        send(world.guardian(), SIGKILL);
        send(world.core(), SIGKILL);
        world.wait_for("guardian", 2);
        world.wait_for("ready", 2);
        let alone = modes.len() == 1;
        assert_eq!(world.count("core adopts"), usize::from(alone));
        assert_eq!(world.count("released") > 0, !alone);
        assert!(alone || world.hears_the_last_word());
    }
}

fn stopped_guardian() {
    let world = World::ready(&["peers", "holds"]);
    let core = world.core();
    send(world.guardian(), SIGSTOP);
    world.wait_for("guardian", 2);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!((world.core(), world.count("released")), (core, 0));
}

fn killed_runner() {
    let world = World::ready(&["peers", "holds"]);
    send(world.pid_of("runner"), SIGKILL);
    world.wait_for("runner", 2);
    std::thread::sleep(Duration::from_millis(100));
    send(world.guardian(), SIGKILL);
    world.wait_for("guardian", 2);
    assert_eq!(world.count("ready"), 1);
}

fn paused() {
    let world = World::ready(&["peers", "holds"]);
    let all = [world.guardian(), world.core(), world.pid_of("runner")];
    for round in 0..10 {
        all.iter().for_each(|pid| send(*pid, SIGSTOP));
        std::thread::sleep(Duration::from_millis(200));
        // In either order: the guardian may wake first.
        let order = if round % 2 == 0 { [0, 1, 2] } else { [1, 0, 2] };
        order.iter().for_each(|index| send(all[*index], SIGCONT));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((world.count("ready"), world.count("released")), (1, 0));
    assert_eq!(world.core(), all[1]);
}

fn stopped() {
    let mut world = World::ready(&["peers", "holds"]);
    send(world.guardian(), SIGTERM);
    assert!(world.end().success());
    assert_eq!((world.count("core stops"), world.count("runner ended")), (1, 1));
    assert!(world.hears_nothing(), "the core spoke for itself");
    assert_eq!(world.count("core"), 1);
    assert!(world.saying("refused").is_empty());
    // The lock is free: what is refused now is refused by the (fake) core, not by the lock.
    let mut next = World::start(&["refuses"]);
    assert_eq!(next.end().code(), Some(2));
}

fn stubborn() {
    let mut world = World::ready(&["peers", "holds", "stubborn"]);
    send(world.guardian(), SIGTERM);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(world.count("released"), 0, "it has its time");
    send(world.guardian(), SIGTERM);
    assert!(world.hears_the_last_word());
    assert!(world.end().success());
    assert!(world.count("released") > 0);
    assert_eq!(world.count("core"), 1, "no other is started");
}

fn slow_end() {
    let mut world = World::ready(&["peers", "holds", "lingers"]);
    let guardian = world.guardian();
    send(guardian, SIGTERM);
    world.wait_for("core lingers", 1);
    let before = turns(guardian);
    std::thread::sleep(Duration::from_millis(500));
    let turns = turns(guardian) - before;
    // It looks around ten times a second. One that does not rest takes the processor from the core.
    assert!((1..30).contains(&turns), "{turns} turns");
    assert!(world.end().success());
    assert_eq!(world.count("core"), 1);
}

/// How often a process has rested or was made to, and how many hundredths of a second it has worked.
fn turns(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
    let counts = counts.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split(' ').collect();
    let ticks = [fields[12], fields[13]].map(|field| field.parse::<u64>().expect("a number"));
    counts.sum::<u64>() + ticks.iter().sum::<u64>()
}

fn reloaded() {
    let world = World::ready(&["peers", "holds"]);
    send(world.guardian(), SIGHUP);
    world.wait_for("reloaded", 1);
    assert_eq!(world.count("core"), 1);
}

fn refused() {
    let mut world = World::start(&["refuses"]);
    assert_eq!(world.end().code(), Some(2));
    world.wait_for("runner ended", 1);
}

fn second() {
    let world = World::ready(&["peers"]);
    assert_eq!(world.second().code(), Some(77));
    let said = world.saying("refused");
    // The second guardian has written itself into the log; the first one holds the lock.
    let first = world.wait_for("guardian", 1).1;
    assert!(said[0].contains(&format!("process {first} already uses")), "{said:?}");
    send(first, SIGTERM);
}

fn confined() {
    let world = World::ready(&["peers", "confined"]);
    assert_eq!((world.count("confined"), world.count("works")), (1, 1));
    drop(world);
    // It is killed at once, and again and again: never does it get past the exec.
    let world = World::start(&["peers", "confined", "execs"]);
    world.wait_for("works", 3);
    assert_eq!(world.count("executed"), 0);
}
