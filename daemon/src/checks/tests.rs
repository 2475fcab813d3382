//! Core and runner on the two ends of one socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use evergate_core::check::Reading;

use super::{Found, Link, Look, NEWS_MAX, News, Order, Service};
use crate::sys::ready::Bell;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("evergate-{name}-{}.run", std::process::id()))
}

fn order(name: &str, script: &str, interval_ms: u64) -> Order {
    let words = ["/bin/sh", "-c", script].map(str::to_owned).into();
    let user = nix::unistd::geteuid().to_string();
    Order {
        name: name.into(),
        test: script.into(),
        look: Look::Exec { words, user, group: None },
        interval: Duration::from_millis(interval_ms),
        timeout: Duration::from_millis(300),
    }
}

fn link(path: &Path) -> (Link, Receiver<News>) {
    let (news_in, news) = sync_channel(NEWS_MAX);
    (Link::start(path, news_in, Arc::new(Bell::new().unwrap())).unwrap(), news)
}

/// The next result of a check.
fn next(news: &Receiver<News>, name: &str) -> Found {
    loop {
        match news.recv_timeout(PATIENCE).expect("news") {
            News::Found(found) if found.name == name => return found,
            _ => {}
        }
    }
}

#[test]
fn what_is_ordered_is_looked_at_again_and_again_and_what_hangs_holds_up_nobody() {
    let path = place("beats");
    let (link, news) = link(&path);
    link.order(vec![order("well", "exit 0", 50), order("hangs", "sleep 1000", 50)]);
    let service = Service::start(path, "gw1".into()).unwrap();
    assert_eq!(news.recv_timeout(PATIENCE), Ok(News::Runner { there: true }));
    let hangs = next(&news, "hangs");
    assert_eq!((hangs.reading, hangs.status), (Reading::Fail, None));
    for _ in 0..5 {
        let well = next(&news, "well");
        assert_eq!((well.reading, well.status), (Reading::Pass, Some(0)));
    }
    service.stop();
    let stopped = std::iter::from_fn(|| Some(next(&news, "well")));
    let refused = stopped.take(1000).any(|found| found.text.contains("the daemon ends"));
    assert!(refused, "no program is started any more");
}

#[test]
fn an_order_that_stays_is_told_again_and_one_that_changes_is_looked_at_at_once() {
    let path = place("orders");
    let slow = order("slow", "exit 1", 3_600_000);
    let (link, news) = link(&path);
    link.order(vec![slow.clone()]);
    let _service = Service::start(path, "gw1".into()).unwrap();
    let first = next(&news, "slow");
    assert_eq!(first.status, Some(1));
    // The next look is an hour away: what is heard now was found before.
    link.order(vec![slow.clone(), order("quick", "exit 0", 50)]);
    assert_eq!(next(&news, "slow"), first);
    link.order(vec![order("slow", "exit 2", 3_600_000)]);
    let changed = next(&news, "slow");
    assert_eq!((changed.status, changed.test.as_str()), (Some(2), "exit 2"));
}
