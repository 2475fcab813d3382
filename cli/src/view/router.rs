//! One virtual router for people: what it is, what it has seen.

use evergate_api::router::RouterReport;

use super::group::state;
use super::page::{Page, dim, plain, strong};

/// The width of the names in front of the figures.
const NAME_WIDTH: usize = 24;

/// The router, line by line.
pub fn render(router: &RouterReport, color: bool) -> String {
    let mut page = Page::new(color);
    page.line([
        strong(&router.id),
        plain(format!(" on {}: {}, its group is ", router.interface, router.state)),
        state(&router.group_state),
    ]);
    let mut line = |name: &str, value: String| {
        page.line([dim(format!("  {name:NAME_WIDTH$}")), plain(value)]);
    };
    for (name, value) in facts(router) {
        line(name, value);
    }
    for address in &router.addresses {
        let present = match address.present {
            Some(true) => "in the kernel",
            Some(false) => "not in the kernel",
            None => "not known",
        };
        line("address", format!("{}, {present}", address.address));
    }
    for (name, count) in &router.all_counters {
        line(name, count.to_string());
    }
    page.finish()
}

fn facts(router: &RouterReport) -> Vec<(&'static str, String)> {
    let address = |text: &Option<String>| text.as_deref().unwrap_or("not known").to_owned();
    let truth = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let wire = match (router.vrid, router.version) {
        (Some(vrid), Some(version)) => format!("vrid {vrid}, version {version}"),
        _ => "sends no adverts".to_owned(),
    };
    let learned = router.active_advert_ms.map(|ms| format!(", the last one heard {ms} ms"));
    vec![
        ("on the wire", wire),
        ("adverts every", format!("{} ms{}", router.advert_ms, learned.unwrap_or_default())),
        ("priority", router.priority.to_string()),
        ("preempts", truth(router.preempt)),
        ("accepts packets", truth(router.accept)),
        ("adverts come from", address(&router.active_address)),
        ("ours come from", address(&router.primary_address)),
        ("became active by", router.active_reason.to_string()),
        ("last refused packet", router.packet_error.to_string()),
        ("counting since", router.counting_since.clone()),
    ]
}
