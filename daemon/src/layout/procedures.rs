//! What groups run when their role changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use evergate_api::config::model as file;
use evergate_core::procedure::{Kind, Occasion, Plan, Program};

use crate::procedures::FifoPlan;

/// The FIFO, if there is one.
pub(super) fn fifo(file: &file::Config) -> Option<FifoPlan> {
    let fifo = file.fifo.as_ref()?;
    Some(FifoPlan {
        path: fifo.path.clone(),
        user: fifo.user.user.clone(),
        user_group: fifo.user.group.clone(),
        program: fifo.program.clone(),
    })
}

/// The procedures of each group that runs on the node called `me`.
pub(super) fn plans(file: &file::Config, me: &str) -> BTreeMap<String, Arc<Plan>> {
    let nothing = Arc::new(Plan::default());
    let here = file.groups.iter().filter(|(_, group)| group.priorities.contains_key(me));
    let planned = here.map(|(name, group)| {
        let plan = plan(&group.procedures);
        let plan = if plan == *nothing { Arc::clone(&nothing) } else { Arc::new(plan) };
        (name.clone(), plan)
    });
    planned.collect()
}

fn plan(procedures: &file::Procedures) -> Plan {
    let program = |words: &Vec<String>, run: &file::HowRun| Program {
        words: words.clone(),
        user: run.user.user.clone(),
        user_group: run.user.group.clone(),
        timeout: run.timeout,
    };
    let steps = |all: &[Vec<String>]| {
        all.iter().map(|words| program(words, &procedures.run)).collect::<Vec<_>>()
    };
    let notify = &procedures.notify;
    let told =
        |of: file::NotifyOf| notify.programs.get(&of).map(|words| program(words, &notify.run));
    let occasions = [
        (file::NotifyOf::Master, Occasion::Master),
        (file::NotifyOf::Backup, Occasion::Backup),
        (file::NotifyOf::Fault, Occasion::Fault),
        (file::NotifyOf::Stop, Occasion::Stop),
        (file::NotifyOf::LowerPriority, Occasion::LowerPriority),
    ];
    let specific = occasions.into_iter().filter_map(|(of, occasion)| Some((occasion, told(of)?)));
    Plan {
        activate: steps(&procedures.activate),
        deactivate: steps(&procedures.deactivate),
        notify: specific.collect(),
        any: told(file::NotifyOf::Any),
        kind: match notify.kind {
            file::NotifyKind::Group => Kind::Group,
            file::NotifyKind::Instance => Kind::Instance,
        },
    }
}
