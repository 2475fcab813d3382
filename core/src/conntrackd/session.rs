//! The numbers of messages: who has what, what is missing, and whether the other side lives.
//!
//! In mode FTFW both sides greet each other, acknowledge what has come and ask once for what has not.
//! What is asked for is sent again under a new number. In mode NOTRACK numbers are only counted.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Effect, Mode};
use crate::flow::{FlowHash, ValueDigest};
use crate::time::{Instant, earliest};
use crate::wire::conntrackd::{self as wire, Change, Control, DATAGRAM_MAX, Message, flag};

/// A sign of life is sent when nothing else was for this long; conntrackd does the same.
pub const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// What has come is acknowledged after this long at the latest.
pub const ACK_WITHIN: Duration = Duration::from_secs(1);
/// What has come is acknowledged after so many messages.
pub const ACK_AFTER: u32 = 100;
/// A peer that says nothing for this long is taken for dead.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);
/// A message of which nothing was heard for this long is said again, whatever became of the words
/// about it.
const OVERDUE_AFTER: Duration = Duration::from_secs(5);
/// Messages that are kept until they are acknowledged. So many are under way at once at most, so only
/// a flood of controls could push one out; then everything is told again.
pub const SENT_MAX: usize = 16_384;

/// A message that was sent or is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// A flow, as its attributes.
    Flow { change: Change, name: FlowHash, digest: ValueDigest, bytes: Vec<u8> },
    /// A control.
    Control(Control),
}

/// A message that was sent.
#[derive(Debug)]
struct Sent {
    sequence: u32,
    at: Instant,
    what: What,
}

/// How far our greeting has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Greeting {
    /// Nothing was sent yet.
    Unsaid,
    /// It is said with every message until it is answered.
    Said,
    /// It was answered.
    Answered,
}

/// One side of the conversation.
#[derive(Debug)]
pub(super) struct Session {
    mode: Mode,
    greeting: Greeting,
    /// The peer greets us, and is to be answered.
    answers: bool,
    /// The newest message of the peer was a greeting.
    greeted: bool,
    /// The number of our next message.
    next: u32,
    /// The number of the peer's newest message.
    newest: Option<u32>,
    /// Our next acknowledgement begins here, and is due then.
    unacknowledged: Option<(u32, Instant)>,
    /// Messages until then at most.
    left: u32,
    /// What is to be said at once.
    replies: Vec<Control>,
    sent: VecDeque<Sent>,
    spoke_at: Option<Instant>,
    heard_at: Option<Instant>,
    packet: Vec<u8>,
    /// A new process of the peer has greeted us.
    pub began: bool,
    /// Messages of the peer have not come.
    pub missed: bool,
    /// Messages of ours have not come and cannot be sent again.
    pub overrun: bool,
    /// How many messages of the peer have not come at first.
    pub lost: u64,
    /// How many messages of the peer have come twice or too late.
    pub stale: u64,
}

/// Whether one number comes before another; they wrap around.
fn before(number: u32, than: u32) -> bool {
    const HALF: u32 = 1 << 31;
    number != than && than.wrapping_sub(number) < HALF
}

fn within(number: u32, from: u32, to: u32) -> bool {
    !before(number, from) && !before(to, number)
}

impl Session {
    /// A conversation whose first message of ours has this number.
    pub fn new(mode: Mode, first: u32) -> Session {
        Session {
            mode,
            greeting: Greeting::Unsaid,
            answers: false,
            greeted: false,
            next: first,
            newest: None,
            unacknowledged: None,
            left: ACK_AFTER,
            replies: Vec::new(),
            sent: VecDeque::new(),
            spoke_at: None,
            heard_at: None,
            packet: Vec::new(),
            began: false,
            missed: false,
            overrun: false,
            lost: 0,
            stale: 0,
        }
    }

    /// Whether the peer was heard not long ago.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.heard_at.is_some_and(|at| now < at + SILENT_AFTER)
    }

    /// Whether flows may be told: what is lost before both have greeted is never asked for.
    pub fn is_open(&self, now: Instant) -> bool {
        let greeted = self.greeting == Greeting::Answered && !self.greeted;
        self.is_alive(now) && (self.mode == Mode::Notrack || greeted)
    }

    /// When the peer was last heard.
    pub fn heard_at(&self) -> Option<Instant> {
        self.heard_at
    }

    /// How many messages are not acknowledged.
    pub fn under_way(&self) -> usize {
        self.sent.len()
    }

    /// What the peer has not acknowledged; it is forgotten here.
    pub fn take_unacknowledged(&mut self) -> Vec<What> {
        self.sent.drain(..).map(|sent| sent.what).collect()
    }

    /// The same for what was sent long ago.
    pub fn take_overdue(&mut self, now: Instant) -> Vec<What> {
        let long_ago = |sent: &Sent| sent.at + OVERDUE_AFTER <= now;
        let count = self.sent.iter().take_while(|sent| long_ago(sent)).count();
        self.sent.drain(..count).map(|sent| sent.what).collect()
    }

    /// Takes the number and the greetings of a message; `false` where what it says does not count.
    pub fn take(&mut self, now: Instant, message: &Message<'_>) -> bool {
        self.heard_at = Some(now);
        match self.mode {
            Mode::Ftfw => self.take_number(now, message),
            Mode::Notrack => {
                self.count_number(message.sequence);
                true
            }
        }
    }

    /// Numbers of NOTRACK: a gap is a loss, and so is a new beginning.
    fn count_number(&mut self, sequence: u32) {
        let expected = self.newest.map(|newest| newest.wrapping_add(1));
        if expected.is_some_and(|expected| expected != sequence) {
            self.missed = true;
            self.lost += 1;
            // A process that begins counts from the time of day.
            self.began |= expected.is_some_and(|expected| before(sequence, expected));
        }
        self.began |= self.newest.is_none();
        self.newest = Some(sequence);
    }

    fn take_number(&mut self, now: Instant, message: &Message<'_>) -> bool {
        let sequence = message.sequence;
        if message.greetings & flag::HELLO_BACK != 0 && self.greeting == Greeting::Said {
            self.greeting = Greeting::Answered;
        }
        if message.greetings & flag::HELLO != 0 {
            self.began |= !self.greeted;
            (self.greeted, self.answers) = (true, true);
            // Whatever its former process has not acknowledged is nobody's any more.
            self.sent.clear();
            if self.unacknowledged.is_some_and(|(from, _)| before(sequence, from)) {
                self.unacknowledged = None;
            }
        } else {
            self.greeted = false;
            match self.newest {
                Some(newest) if !before(newest, sequence) => {
                    self.stale += 1;
                    return false;
                }
                Some(newest) if newest.wrapping_add(1) != sequence => {
                    self.ask_for(newest.wrapping_add(1), sequence.wrapping_sub(1));
                }
                Some(_) | None => {}
            }
        }
        self.newest = Some(sequence);
        self.count(now, sequence);
        true
    }

    /// Asks for what has not come. It is asked for once; the question itself is numbered too.
    fn ask_for(&mut self, from: u32, to: u32) {
        self.acknowledge(from.wrapping_sub(1));
        self.replies.push(Control::Nack(from, to));
        self.missed = true;
        self.lost += u64::from(to.wrapping_sub(from)) + 1;
    }

    fn count(&mut self, now: Instant, sequence: u32) {
        if self.unacknowledged.is_none() {
            self.unacknowledged = Some((sequence, now + ACK_WITHIN));
            self.left = ACK_AFTER;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.acknowledge(sequence);
        }
    }

    fn acknowledge(&mut self, to: u32) {
        if let Some((from, _)) = self.unacknowledged.take() {
            self.replies.push(Control::Ack(from, to));
        }
    }

    /// The peer has these messages.
    pub fn take_ack(&mut self, from: u32, to: u32) {
        self.sent.retain(|sent| !within(sent.sequence, from, to));
    }

    /// The peer has not got these messages: what they were, to be said again.
    pub fn take_nack(&mut self, from: u32, to: u32) -> Vec<What> {
        let wanted = |sent: &Sent| within(sent.sequence, from, to);
        let (again, kept): (Vec<_>, Vec<_>) = self.sent.drain(..).partition(wanted);
        self.sent = kept.into();
        let asked = usize::try_from(to.wrapping_sub(from)).unwrap_or(usize::MAX).saturating_add(1);
        self.overrun |= again.len() < asked && !before(to, from);
        again.into_iter().map(|sent| sent.what).collect()
    }

    /// Says something; it leaves with [`Session::flush`] at the latest.
    pub fn say(&mut self, now: Instant, what: What, out: &mut Vec<Effect>) {
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        let greetings = self.greetings();
        let mut message = Vec::with_capacity(wire::HEAD_LEN);
        match &what {
            What::Flow { change, bytes, .. } => {
                wire::write_flow(*change, bytes, greetings, sequence, &mut message);
            }
            What::Control(control) => {
                wire::write_control(*control, greetings, sequence, &mut message);
            }
        }
        if self.packet.len() + message.len() > DATAGRAM_MAX {
            self.flush(out);
        }
        self.packet.extend_from_slice(&message);
        self.spoke_at = Some(now);
        if self.mode == Mode::Ftfw {
            self.sent.push_back(Sent { sequence, at: now, what });
            if self.sent.len() > SENT_MAX {
                let forgotten = self.sent.pop_front().map(|sent| sent.what);
                self.overrun |= matches!(forgotten, Some(What::Flow { .. }));
            }
        }
    }

    fn greetings(&mut self) -> u8 {
        if self.mode == Mode::Notrack {
            return 0;
        }
        if self.greeting == Greeting::Unsaid {
            self.greeting = Greeting::Said;
        }
        let hello = if self.greeting == Greeting::Said { flag::HELLO } else { 0 };
        let back = if std::mem::take(&mut self.answers) { flag::HELLO_BACK } else { 0 };
        hello | back
    }

    /// Sends what was said.
    pub fn flush(&mut self, out: &mut Vec<Effect>) {
        if !self.packet.is_empty() {
            out.push(Effect::Send(std::mem::take(&mut self.packet)));
        }
    }

    /// Says what is due: answers, acknowledgements, signs of life.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.unacknowledged.is_some_and(|(_, due)| due <= now)
            && let Some(newest) = self.newest
        {
            self.acknowledge(newest);
        }
        for control in std::mem::take(&mut self.replies) {
            self.say(now, What::Control(control), out);
        }
        if self.answers || self.life_due().is_none_or(|at| at <= now) {
            self.say(now, What::Control(Control::Alive), out);
        }
    }

    fn life_due(&self) -> Option<Instant> {
        self.spoke_at.map(|at| at + ALIVE_EVERY)
    }

    /// When [`Session::tick`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        let ack = self.unacknowledged.map(|(_, due)| due);
        let now = Some(Instant::ZERO)
            .filter(|_| self.answers || !self.replies.is_empty() || self.spoke_at.is_none());
        let overdue = self.sent.front().map(|sent| sent.at + OVERDUE_AFTER);
        [self.life_due(), now, overdue].into_iter().fold(ack, earliest)
    }
}

#[cfg(test)]
impl Session {
    pub fn hear_for_tests(&mut self, at: Instant) {
        self.heard_at = Some(at);
    }

    pub fn newest_for_tests(&self) -> u32 {
        self.newest.unwrap_or(0)
    }
}
