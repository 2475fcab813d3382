//! The loop: letters, peers, news of the kernel and lists in their turn, none of them for long.
//!
//! Both threads run it, the one among nodes of ours and the one with a peer that runs conntrackd. They
//! differ in whom they speak with and in the machine that decides: [`Turns`].

use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evergate_core::flow::FlowKey;
use evergate_core::ident::NodeId;
use evergate_core::replicate::is_open;
use evergate_core::{Instant, Machine};

use super::fence::Fence;
use super::kernel_table::{Fact, KernelTable};
use super::listing::{Reading, Standing as Seen};
use super::{Identity, Mail, Standing, lock};
use crate::kernel::conntrack::decode::Message;
use crate::say::say;
use crate::sys::clock::boottime_now;
use crate::sys::ready::{Bell, Poller, Ready, Timer};

const TOKEN_TIMER: u64 = 0;
const TOKEN_BELL: u64 = 1;
pub(super) const TOKEN_NEWS: u64 = 2;
/// Sockets on which peers are heard.
pub(super) const TOKEN_PEERS: u64 = 3;

/// Letters that are read before anything else gets its turn.
pub(super) const LETTERS_PER_TURN_MAX: usize = 256;
/// Datagrams of a list likewise, about 130 connections each.
const CHUNKS_PER_TURN_MAX: usize = 4;
/// How often it is told how things stand.
const STANDING_EVERY: Duration = Duration::from_millis(100);

/// What both threads have.
pub(super) struct Desk {
    pub table: KernelTable,
    pub identity: Identity,
    pub letters: Receiver<Mail>,
    pub bell: Arc<Bell>,
    pub standing: Arc<Mutex<Standing>>,
    pub fence: Arc<Fence>,
    pub poller: Poller,
    pub timer: Timer,
    /// A list that somebody wants to see.
    pub reading: Option<Reading>,
    /// When it was told how things stand.
    pub stood_at: Instant,
}

/// What differs between the threads.
pub(super) trait Turns {
    /// The machine that decides.
    type Machine: Machine<Input: From<Fact>>;
    /// Why a connection that may be replicated is not.
    const NOT_TOLD: &'static str;

    /// What both have.
    fn desk(&self) -> &Desk;
    /// The same.
    fn desk_mut(&mut self) -> &mut Desk;
    /// The machine.
    fn machine(&self) -> &Self::Machine;
    /// The same.
    fn machine_mut(&mut self) -> &mut Self::Machine;
    /// Does what it has decided.
    fn carry_out(&mut self, effects: Vec<<Self::Machine as Machine>::Effect>);
    /// Whether the machine takes more of a list now.
    fn wants_more(&self) -> bool;
    /// Whose a flow is, if the machine knows it.
    fn owner(&self, key: &FlowKey) -> Option<NodeId>;
    /// Reads what peers have sent; what is left calls again.
    fn hear(&mut self);
    /// Takes what was heard and waits, as much as has its turn.
    fn take_heard(&mut self) {}
    /// Whether something waits that was heard.
    fn has_heard(&self) -> bool {
        false
    }
    /// Reads letters, up to [`LETTERS_PER_TURN_MAX`]; `false` when nobody can send any more.
    fn read_mail(&mut self) -> bool;
    /// How things stand, every [`STANDING_EVERY`]: a time to try again what has failed.
    fn stand(&mut self, now: Instant) -> Standing;

    /// Tells the machine something, and carries out what it decides.
    fn feed(&mut self, input: impl Into<<Self::Machine as Machine>::Input>) {
        let mut out = Vec::new();
        self.machine_mut().handle(now(), input.into(), &mut out);
        self.carry_out(out);
    }

    /// Hands the kernel what is wanted of its table, and tells the machine what it refused.
    fn settle(&mut self) {
        while let Some(refused) = self.desk_mut().table.settle() {
            refused.into_iter().for_each(|fact| self.feed(fact));
        }
    }
}

/// Starts the thread; `what` is said of it when it ends.
pub(super) fn start(work: impl Turns + Send + 'static, what: &'static str) -> io::Result<()> {
    let desk = work.desk();
    desk.poller.add(&desk.timer, TOKEN_TIMER)?;
    desk.poller.add(&*desk.bell, TOKEN_BELL)?;
    desk.table.listen(&desk.poller)?;
    let builder = std::thread::Builder::new().name("replicate".into());
    builder.spawn(move || {
        if let Err(error) = run(work) {
            say("core", &format!("{what} has ended: {error}"));
        }
    })?;
    Ok(())
}

fn run(mut work: impl Turns) -> io::Result<()> {
    crate::privilege::favour_thread();
    let mut ready = Ready::default();
    // When the timer will fire; a call to the kernel for each turn would be a part of what a turn costs.
    let mut armed = None;
    loop {
        let desk = work.desk();
        if has_more(&work) {
            desk.poller.wait(&mut ready, Some(0))?;
        } else {
            let deadline = deadline(&work);
            if armed != Some(deadline) {
                desk.timer.set(Some(deadline.as_nanos()))?;
                armed = Some(deadline);
            }
            desk.poller.wait(&mut ready, None)?;
        }
        let mut has_news = desk.table.news_at().is_some_and(|at| at <= now());
        for token in ready.tokens() {
            let desk = work.desk();
            match token {
                // To set it anew takes note that it has fired.
                TOKEN_TIMER => armed = None,
                TOKEN_BELL => drop(desk.bell.drain()?),
                TOKEN_PEERS => work.hear(),
                _ => has_news = true,
            }
        }
        if !work.read_mail() {
            return Ok(());
        }
        work.take_heard();
        if has_news {
            read_news(&mut work)?;
        }
        tick(&mut work);
        read_on(&mut work);
        work.settle();
        list_on(&mut work);
        stand(&mut work);
    }
}

/// Whether there is something to do at once.
fn has_more(work: &impl Turns) -> bool {
    let desk = work.desk();
    let lists = desk.table.is_listing() && work.wants_more() || desk.reading.is_some();
    lists || work.has_heard()
}

fn deadline(work: &impl Turns) -> Instant {
    let desk = work.desk();
    let stand = desk.stood_at + STANDING_EVERY;
    [work.machine().deadline(), desk.table.news_at()]
        .into_iter()
        .flatten()
        .fold(stand, Instant::min)
}

/// Lets time pass for the machine.
fn tick(work: &mut impl Turns) {
    let mut out = Vec::new();
    work.machine_mut().tick(now(), &mut out);
    work.carry_out(out);
}

fn read_news(work: &mut impl Turns) -> io::Result<()> {
    let facts = work.desk_mut().table.read_news();
    let some = facts.is_some();
    facts.into_iter().flatten().for_each(|fact| work.feed(fact));
    let Desk { table, poller, .. } = work.desk_mut();
    table.pace_news(poller, some)
}

/// Reads on in a list that is under way, as far as the machine wants it.
fn read_on(work: &mut impl Turns) {
    for _ in 0..CHUNKS_PER_TURN_MAX {
        if !work.wants_more() {
            return;
        }
        let Some(listed) = work.desk_mut().table.read_list() else { return };
        listed.into_iter().for_each(|fact| work.feed(fact));
        // What was read is settled before more is: a list must not be older than a change.
        work.settle();
        let last = work.desk_mut().table.end_list();
        last.into_iter().for_each(|fact| work.feed(fact));
    }
}

/// Reads on in a list that somebody wants to see.
fn list_on(work: &mut impl Turns) {
    let Some(reading) = work.desk_mut().reading.take() else { return };
    let reading = reading.read_on(|message| standing_of(work, message));
    work.desk_mut().reading = reading;
}

fn standing_of<W: Turns>(work: &W, message: &Message) -> Seen {
    if let Some(owner) = work.owner(&message.flow.key) {
        Seen::Owned(owner)
    } else if !work.desk().table.concerns(&message.flow) {
        Seen::Alone("of this node itself, or excluded by the configuration")
    } else if !is_open(&message.flow) {
        Seen::Alone("not established, or closed")
    } else {
        Seen::Alone(W::NOT_TOLD)
    }
}

/// Tells how things stand, now and then.
fn stand(work: &mut impl Turns) {
    let now = now();
    let desk = work.desk_mut();
    if now < desk.stood_at + STANDING_EVERY {
        return;
    }
    desk.stood_at = now;
    let lost = desk.table.look_for_losses();
    lost.into_iter().for_each(|fact| work.feed(fact));
    let mut standing = work.stand(now);
    let desk = work.desk();
    standing.news_lost = desk.table.news_lost();
    standing.dropped.extend(desk.table.dropped());
    *lock(&desk.standing) = standing;
}

pub(super) fn now() -> Instant {
    Instant::from_nanos(boottime_now())
}
