//! The order of procedures, by hand.

use super::*;

fn program(word: &str) -> Program {
    let words = vec![format!("/bin/{word}")];
    Program { words, user: "nobody".into(), user_group: None, timeout: Duration::from_secs(30) }
}

fn plan() -> Plan {
    Plan {
        activate: vec![program("up1"), program("up2")],
        deactivate: vec![program("down")],
        notify: [
            (Occasion::Master, program("master")),
            (Occasion::Backup, program("backup")),
            (Occasion::Stop, program("stop")),
            (Occasion::LowerPriority, program("lower")),
        ]
        .into(),
        any: Some(program("any")),
        kind: Kind::Instance,
    }
}

struct World {
    procedures: Procedures,
    told: Vec<Told>,
    now: Instant,
}

impl World {
    fn with(plans: &[(&str, Plan)], fifo: bool) -> World {
        let now = Instant::from_nanos(5_000_000_000);
        let mut world = World { procedures: Procedures::new(now), told: Vec::new(), now };
        world.configure(plans, fifo);
        world
    }

    /// One group, which has begun as standby.
    fn new() -> World {
        let mut world = World::with(&[("g", plan())], true);
        world.role("g", Role::Init, Role::Standby);
        assert_eq!(world.play(), ["down", "backup", "any INSTANCE g BACKUP 150"]);
        world.told.clear();
        world
    }

    fn configure(&mut self, plans: &[(&str, Plan)], fifo: bool) {
        let plans = plans.iter().map(|(name, plan)| ((*name).to_owned(), Arc::new(plan.clone())));
        self.feed(Fact::Configured { plans: plans.collect(), fifo });
    }

    fn feed(&mut self, fact: Fact) {
        self.now += Duration::from_millis(1);
        self.procedures.handle(self.now, fact, &mut self.told);
        self.procedures.tick(self.now, &mut self.told);
    }

    fn role(&mut self, group: &str, from: Role, to: Role) {
        let holds = matches!(to, Role::Claiming | Role::Active);
        self.feed(Fact::Role { group: group.into(), from, to, holds, why: why() });
    }

    fn take_over(&mut self) {
        self.role("g", Role::Standby, Role::Claiming);
        self.role("g", Role::Claiming, Role::Active);
    }

    fn give_up(&mut self) {
        self.role("g", Role::Active, Role::Releasing);
        self.role("g", Role::Releasing, Role::Standby);
    }

    /// What is ordered now.
    fn orders(&self) -> Vec<String> {
        let words = |run: &Run| run.program.words.join(" ").replace("/bin/", "");
        self.procedures.orders().map(words).collect()
    }

    /// Ends the program of the first group that has one.
    fn end(&mut self, well: bool) {
        let id = self.procedures.orders().next().expect("one runs").id;
        let outcome =
            Outcome { well, text: String::new(), status: None, took: Duration::from_secs(1) };
        self.feed(Fact::Ended { id, outcome });
    }

    /// Runs all that is to be run; says in which order.
    fn play(&mut self) -> Vec<String> {
        let mut played = Vec::new();
        while let Some(first) = self.orders().into_iter().next() {
            played.push(first);
            self.end(true);
        }
        played
    }

    fn lines(&mut self) -> Vec<String> {
        let lines: Vec<Line> = self.procedures.lines().cloned().collect();
        if let Some(last) = lines.last() {
            let outcome =
                Outcome { well: true, text: String::new(), status: None, took: Duration::ZERO };
            self.feed(Fact::Ended { id: last.id, outcome });
        }
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Which transitions were skipped, and how many were gone through.
    fn skipped(&self) -> Vec<Phase> {
        let skipped = self.told.iter().filter_map(|told| match told {
            Told::Skipped { transition, .. } => Some(transition.to),
            _ => None,
        });
        skipped.collect()
    }
}

fn why() -> Why {
    Why { cause: "died", text: "gw1 is dead".into(), priority: 150 }
}

#[test]
fn a_takeover_runs_its_programs_in_their_order_one_at_a_time() {
    let mut world = World::new();
    world.take_over();
    assert_eq!(world.orders(), ["up1"]);
    world.end(true);
    assert_eq!(world.orders(), ["up2"]);
    let rest = ["up2", "master", "any INSTANCE g MASTER 150"];
    assert_eq!(world.play(), rest);
    world.lines();
    assert!(world.procedures.is_idle());
    let done = world.told.iter().find_map(|told| match told {
        Told::Done { transition, took, .. } => Some((transition.to, *took)),
        _ => None,
    });
    let (phase, took) = done.expect("it is through");
    assert_eq!(phase, Phase::Active);
    assert_eq!(took, Duration::from_millis(4));
}

#[test]
fn deactivate_comes_before_the_addresses_go_and_backup_after() {
    let mut world = World::new();
    world.take_over();
    world.play();
    world.role("g", Role::Active, Role::Releasing);
    assert_eq!(world.play(), ["down"]);
    world.role("g", Role::Releasing, Role::Fault);
    assert_eq!(world.play(), ["any INSTANCE g FAULT 150"], "it is told of no `fault` program");
    world.role("g", Role::Fault, Role::Standby);
    assert_eq!(world.play(), ["backup", "any INSTANCE g BACKUP 150"]);
}

#[test]
fn a_planned_handover_deactivates_when_it_begins_and_activates_if_it_fails() {
    let mut world = World::new();
    world.take_over();
    world.play();
    let yields = |goes| Fact::Yields { group: "g".into(), goes, why: why() };
    world.feed(yields(true));
    assert_eq!(world.play(), ["down"]);
    world.feed(yields(false));
    assert_eq!(world.play(), ["up1", "up2"], "nobody was told that it went");
    world.feed(yields(true));
    world.give_up();
    assert_eq!(world.play(), ["down", "backup", "any INSTANCE g BACKUP 150"]);
}

#[test]
fn what_comes_meanwhile_waits_and_a_failure_does_not_end_the_list() {
    let mut world = World::new();
    world.take_over();
    world.give_up();
    assert_eq!(world.orders(), ["up1"], "the rest waits");
    world.end(false);
    let rest = [
        "up2",
        "master",
        "any INSTANCE g MASTER 150",
        "down",
        "backup",
        "any INSTANCE g BACKUP 150",
    ];
    assert_eq!(world.play(), rest);
    assert_eq!(world.skipped(), []);
}

#[test]
fn what_is_superseded_is_skipped_and_said_and_the_rest_could_have_been() {
    let mut world = World::new();
    world.take_over();
    for _ in 0..3 {
        world.give_up();
        world.take_over();
    }
    let skipped = world.skipped();
    let round = [Phase::Releasing, Phase::Standby, Phase::Active];
    assert_eq!(skipped, [round, round].concat());
    let mut sequences = Vec::new();
    let mut names = Vec::new();
    loop {
        let Some(run) = world.procedures.orders().next().cloned() else { break };
        sequences.push(run.transition.sequence);
        names.push(run.program.words[0].replace("/bin/", ""));
        // All that was skipped is told to the first transition behind it.
        let first_behind = run.transition.to == Phase::Releasing;
        assert_eq!(run.skipped, if first_behind { 6 } else { 0 }, "{run:?}");
        world.end(true);
    }
    let once = ["up1", "up2", "master", "any"];
    assert_eq!(names, [&once[..], &["down", "backup", "any"], &once[..]].concat());
    assert!(sequences.is_sorted());
}

#[test]
fn whatever_happens_activate_and_deactivate_take_turns() {
    // Every history of seven steps, of which each either changes the role or ends a program.
    for history in 0..1_u32 << 14 {
        let mut world = World::new();
        let (mut active, mut ran) = (false, Vec::new());
        for step in (0..14).step_by(2) {
            match history >> step & 3 {
                0 => {
                    if active {
                        world.give_up();
                    } else {
                        world.take_over();
                    }
                    active = !active;
                }
                1 if active => world.feed(Fact::LowerHeard { group: "g".into(), why: why() }),
                _ => {
                    ran.extend(world.orders());
                    if !world.orders().is_empty() {
                        world.end(true);
                    }
                }
            }
            let lane = &world.procedures;
            assert!(lane.running("g").is_none_or(|(_, waiting)| waiting <= 7), "{history:x}");
        }
        ran.extend(world.play());
        let turns: Vec<bool> = ran
            .iter()
            .filter(|word| ["up1", "down"].contains(&word.as_str()))
            .map(|word| word == "up1")
            .collect();
        assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{history:x}: {ran:?}");
        // The last of them fits the role that the group is left in.
        assert_eq!(turns.last().copied().unwrap_or(false), active, "{history:x}: {ran:?}");
    }
}

#[test]
fn at_the_end_one_word_is_said_and_that_is_stop() {
    let mut world = World::new();
    world.take_over();
    world.play();
    world.lines();
    world.feed(Fact::Stopping);
    world.give_up();
    assert_eq!(world.play(), ["down"]);
    world.feed(Fact::Stopped);
    assert_eq!(world.play(), ["stop", "any INSTANCE g STOP 150"]);
    assert_eq!(world.lines(), ["INSTANCE \"g\" STOP 150"]);
    assert!(world.procedures.is_idle());
}

#[test]
fn the_end_waits_for_procedures_so_long_and_no_longer() {
    let mut world = World::new();
    world.take_over();
    world.feed(Fact::Stopping);
    world.give_up();
    world.feed(Fact::Stopped);
    let end = world.procedures.deadline().expect("there is an end");
    assert_eq!(end.since(world.now), END_WITHIN);
    world.procedures.tick(end.before(Duration::from_nanos(1)), &mut world.told);
    assert!(!world.procedures.is_idle());
    world.procedures.tick(end, &mut world.told);
    assert!(world.procedures.is_idle());
    assert!(world.told.contains(&Told::Abandoned(vec!["g".into()])));
}

#[test]
fn the_fifo_hears_of_every_state_at_once_and_of_none_twice() {
    let mut world = World::new();
    assert_eq!(world.lines(), ["INSTANCE \"g\" BACKUP 150"]);
    world.take_over();
    world.give_up();
    world.role("g", Role::Standby, Role::Locked);
    world.role("g", Role::Locked, Role::Fault);
    let lines =
        ["INSTANCE \"g\" MASTER 150", "INSTANCE \"g\" BACKUP 150", "INSTANCE \"g\" FAULT 150"];
    assert_eq!(world.lines(), lines, "the programs of the first are not through yet");
    for _ in 0..2 {
        world.feed(Fact::LowerHeard { group: "g".into(), why: why() });
        assert_eq!(world.lines(), ["INSTANCE \"g\" MASTER_RX_LOWER_PRI 150"]);
    }
}

#[test]
fn a_group_is_told_of_without_a_priority() {
    let whole = Plan { kind: Kind::Group, any: Some(program("any")), ..Plan::default() };
    let mut world = World::with(&[("whole", whole)], true);
    world.role("whole", Role::Init, Role::Standby);
    assert_eq!(world.lines(), ["GROUP \"whole\" BACKUP 0"]);
    assert_eq!(world.play(), ["any GROUP whole BACKUP 0"]);
}

#[test]
fn lines_that_nobody_takes_are_bounded_and_the_loss_is_told() {
    let mut world = World::with(&[("g", Plan::default())], true);
    for _ in 0..LINES_MAX {
        world.feed(Fact::LowerHeard { group: "g".into(), why: why() });
    }
    assert!(!world.told.iter().any(|told| matches!(told, Told::LinesLost(_))));
    world.feed(Fact::LowerHeard { group: "g".into(), why: why() });
    assert!(world.told.contains(&Told::LinesLost(1)));
    assert_eq!(world.procedures.lines().count(), LINES_MAX);
}

#[test]
fn groups_do_not_wait_for_each_other_unless_too_many_run() {
    let names: Vec<String> = (0..RUNNING_MAX + 2).map(|number| format!("g{number:03}")).collect();
    let plans: Vec<(&str, Plan)> = names.iter().map(|name| (name.as_str(), plan())).collect();
    let mut world = World::with(&plans, false);
    for name in &names {
        world.role(name, Role::Init, Role::Standby);
    }
    assert_eq!(world.orders().len(), RUNNING_MAX);
    world.end(true);
    assert_eq!(world.orders().len(), RUNNING_MAX);
    while !world.orders().is_empty() {
        assert!(world.orders().len() <= RUNNING_MAX);
        world.end(true);
    }
    assert!(world.procedures.is_idle());
}

#[test]
fn a_group_that_a_reload_removes_is_stopped_and_one_that_stays_goes_on() {
    let mut world = World::new();
    world.lines();
    world.take_over();
    world.lines();
    world.end(true);
    world.role("g", Role::Active, Role::Releasing);
    world.configure(&[], true);
    assert_eq!(world.orders(), ["up2"]);
    // What the machine says of it while its last programs run is no news any more.
    world.role("g", Role::Releasing, Role::Standby);
    let rest =
        ["up2", "master", "any INSTANCE g MASTER 150", "down", "stop", "any INSTANCE g STOP 0"];
    assert_eq!(world.play(), rest);
    assert_eq!(world.lines(), ["INSTANCE \"g\" STOP 0"]);
    assert_eq!(world.procedures.running("g"), None);
    world.role("g", Role::Releasing, Role::Standby);
    assert!(world.procedures.is_idle(), "it is not known any more");

    let mut world = World::new();
    world.lines();
    world.configure(&[("g", Plan { activate: vec![program("new")], ..Plan::default() })], true);
    assert!(world.procedures.is_idle(), "a reload by itself runs nothing");
    world.take_over();
    assert_eq!(world.play(), ["new"]);
}

#[test]
fn a_group_that_runs_nothing_is_not_followed_until_a_reload_gives_it_something_to_run() {
    let mut world = World::with(&[("g", Plan::default()), ("h", plan())], false);
    assert!(!world.procedures.follows("g"));
    assert!(world.procedures.follows("h"));
    world.configure(&[("g", plan()), ("h", plan())], false);
    // It was active all the time.
    world.feed(Fact::Found { group: "g".into(), role: Role::Active, priority: 150 });
    assert_eq!(world.orders(), [""; 0], "nothing has changed");
    world.feed(Fact::Yields { group: "g".into(), goes: true, why: why() });
    let run = world.procedures.orders().next().expect("deactivate is run");
    assert_eq!((run.transition.from, run.transition.to), (Role::Active, Phase::Releasing));
}

#[test]
fn a_group_whose_procedures_a_reload_removes_is_not_stopped_by_that() {
    let mut world = World::with(&[("g", plan())], false);
    world.configure(&[("g", Plan::default())], false);
    assert_eq!(world.orders(), [""; 0]);
    world.role("g", Role::Init, Role::Standby);
    assert_eq!(world.orders(), [""; 0]);
}

#[test]
fn lines_are_written_for_groups_that_run_nothing() {
    let mut world = World::with(&[("g", Plan::default())], true);
    world.role("g", Role::Init, Role::Standby);
    let lines: Vec<&str> = world.procedures.lines().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["GROUP \"g\" BACKUP 0"]);
}

#[test]
fn who_adopts_addresses_does_not_deactivate_what_serves_on_them() {
    let mut world = World::with(&[("g", plan())], true);
    let (from, to) = (Role::Init, Role::Standby);
    world.feed(Fact::Role { group: "g".into(), from, to, holds: true, why: why() });
    world.take_over();
    assert_eq!(world.play(), ["up1", "up2", "master", "any INSTANCE g MASTER 150"]);
    assert_eq!(world.lines(), ["INSTANCE \"g\" MASTER 150"]);
}

#[test]
fn numbers_begin_with_the_time_so_that_no_former_process_has_used_them() {
    let mut world = World::new();
    world.take_over();
    let run = world.procedures.orders().next().expect("one").clone();
    let later = Procedures::new(world.now + Duration::from_secs(1));
    assert!(later.next_id > run.id && later.next_sequence > run.transition.sequence);
}
