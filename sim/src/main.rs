//! `evergate-sim`: walks through worlds and prints what was found.

use evergate_sim::laws::Laws;
use evergate_sim::setup::Setup;
use evergate_sim::walk::{random, shrink};

fn main() {
    let mut args = std::env::args().skip(1);
    if std::env::args().nth(1).as_deref() == Some("tell") {
        let path = std::env::args().nth(2).unwrap_or_default();
        let trace =
            evergate_sim::walk::replay::Trace::load(std::path::Path::new(&path)).expect("a trace");
        for line in trace.tell(Laws::only(evergate_sim::laws::Law::TimeGoesOn)) {
            println!("{line}");
        }
        return;
    }
    if std::env::args().nth(1).as_deref() == Some("walk") {
        let n = |i: usize| std::env::args().nth(i).and_then(|a| a.parse::<u8>().ok()).unwrap_or(0);
        let setup = Setup::coarse(n(2).into(), n(3).into(), n(4).into());
        let budgets = evergate_sim::walk::Budgets {
            losses: n(5),
            kills: n(6),
            power_cuts: n(7),
            blocks: n(8),
            carriers: n(9),
            cables: n(10),
            pauses: n(11),
            ..Default::default()
        };
        #[allow(clippy::disallowed_methods)]
        let began = std::time::Instant::now();
        let c = evergate_sim::walk::exhaustive::walk(&setup, Laws::default(), &budgets, 3_000_000);
        println!("{} states {} edges closed {} {:?}", c.states, c.edges, c.closed, began.elapsed());
        if let Some((v, t)) = c.broken {
            println!("{v}");
            for l in t.tell(Laws::default()) {
                println!("  {l}");
            }
            let _ = t.save(std::path::Path::new("/tmp/walk.json"));
        }
        return;
    }
    if std::env::args().nth(1).as_deref() == Some("dump") {
        let mut w = evergate_sim::world::World::new(Setup::coarse(2, 0, 1), Laws::default());
        w.budgets = Some(Default::default());
        w.run(std::time::Duration::from_millis(200_100)).unwrap();
        let a = evergate_sim::walk::canonical::dump(&w);
        w.run(std::time::Duration::from_millis(2_000)).unwrap();
        let b = evergate_sim::walk::canonical::dump(&w);
        println!("{} {}", a.len(), b.len());
        for (i, (x, y)) in a.iter().zip(&b).enumerate() {
            if x != y {
                println!("{i} {x:?} {y:?}");
            }
        }
        return;
    }
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(0);
    let to: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(10);
    #[allow(clippy::disallowed_methods)]
    let began = std::time::Instant::now();
    let (mut steps, mut faults, mut span) = (0, 0, 0.0);
    for seed in from..to {
        let setup = match seed % 3 {
            0 => Setup::default_timing(2, seed),
            1 => Setup::default_timing(3, seed),
            _ => Setup::opposite_groups(seed),
        };
        let outcome = random::walk(&setup, Laws::default());
        steps += outcome.tally.steps;
        faults += outcome.tally.faults;
        span += outcome.lasted.as_secs_f64();
        if let Some((violation, trace)) = outcome.broken {
            println!("seed {seed}: {violation} ({} choices)", trace.choices.len());
            if std::env::args().len() > 3 {
                let short = shrink::shrink(&trace, violation.law);
                let told = short.tell(Laws::only(violation.law));
                for line in &told[told.len().saturating_sub(24)..] {
                    println!("   {line}");
                }
                let _ = short.save(std::path::Path::new(&format!("/tmp/trace{seed}.json")));
            }
        }
    }
    println!("{steps} steps {faults} faults {span:.0} s virtual in {:?}", began.elapsed());
}
