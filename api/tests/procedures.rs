//! Programs that are run when a group changes its role.

use std::time::Duration;

use evergate_api::config::model::{NotifyKind, NotifyOf, Procedures};
use evergate_api::config::{Sources, diff, parse};

#[test]
fn procedures_are_programs_with_an_order_a_user_and_a_time() {
    let read = |group: &str, more: &str| {
        let text = format!(
            "[cluster]\nname = \"edge\"\n[node.gw1]\n[group.g]\n{group}\n[group.g.router.lan]\n\
             interface = \"lan\"\nvrid = 51\naddresses = [\"10.91.0.1/24\"]\n{more}"
        );
        let outcome = parse(Sources::from_text("edge.toml", &text));
        assert!(outcome.report.is_empty(), "{}", outcome.report.render(false));
        outcome.config.expect("it is good")
    };
    let plain = read("", "");
    assert_eq!((&plain.groups["g"].procedures, &plain.fifo), (&Procedures::default(), &None));
    let config = read(
        "activate = [\"exec:/bin/one two\", [\"exec:/bin/three\", \"four five\"]]\n\
         deactivate = [\"exec:/bin/down\"]\n\
         procedures = { user = \"root\", user_group = \"adm\", timeout = \"5s\" }\n\
         notify_kind = \"instance\"\n\
         notify = { any = \"exec:/bin/any\", lower_priority = [\"exec:/bin/l\", \"a b\"] }",
        "[notify]\nfifo = \"/run/fifo\"\nuser = \"box\"\nfifo_script = \"exec:/bin/reader x\"\n",
    );
    let procedures = &config.groups["g"].procedures;
    let words = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let steps = [words(&["/bin/one", "two"]), words(&["/bin/three", "four five"])];
    assert_eq!(procedures.activate, steps);
    assert_eq!(procedures.deactivate, [words(&["/bin/down"])]);
    assert_eq!(procedures.run.timeout, Duration::from_secs(5));
    assert_eq!(procedures.run.user.group.as_deref(), Some("adm"));
    let notify = &procedures.notify;
    assert_eq!((notify.kind, notify.run.user.user.as_str()), (NotifyKind::Instance, "nobody"));
    assert_eq!(notify.programs[&NotifyOf::LowerPriority], words(&["/bin/l", "a b"]));
    let fifo = config.fifo.as_ref().expect("there is one");
    assert_eq!((fifo.path.to_str(), fifo.user.user.as_str()), (Some("/run/fifo"), "box"));
    assert_eq!(fifo.program, Some(words(&["/bin/reader", "x"])));
    let changes = diff(&plain, &config).changes;
    let keys = ["activate", "deactivate", "procedures", "notify"];
    let expected = keys.map(|key| format!("group g: another `{key}`"));
    assert_eq!(changes[0], "[notify]: another FIFO");
    assert_eq!(changes[1..], expected);
}
