//! `events`: what happened, and with `--follow` what happens.

use evergate_api::control::{Reply, Request};

use super::Ended;
use crate::args::Events;
use crate::client;
use crate::context::{Context, TIMEOUT};
use crate::failure::{Failure, exit};
use crate::view;

/// 0 at the end of the list; a stream that is followed ends only with its daemon (3) or its reader.
pub fn run(context: &mut Context, which: &Events) -> Ended {
    let request = Request::Events { after: which.after, follow: which.follow };
    let answers = client::ask(&context.socket, &request);
    // A quiet cluster has no events: who follows waits for the next one as long as it takes.
    let timeout = (!which.follow).then(|| context.timeout.unwrap_or(TIMEOUT));
    let mut count = 0_u64;
    loop {
        let answer = answers.next(timeout)?;
        match &answer.reply {
            Reply::Event(event) => {
                context.show(&answer, |color| view::events::event(event, color))?;
                count += 1;
            }
            Reply::EventsEnd(end) => {
                if !context.json {
                    let text = view::events::end(end, count, context.color);
                    context.say(&text)?;
                }
                return Ok(exit::GOOD);
            }
            Reply::Error(error) => {
                return Err(Failure::refused(exit::REFUSED, error.clone()).into());
            }
            _ => return Err(context.unexpected(&answer)),
        }
    }
}
