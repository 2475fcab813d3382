//! Blocks that an instance has twice count together: keepalived applies each keyword where it reads
//! it, so a second list of peers adds to the first, and a second password takes its place.

use super::tree::Statement;
use crate::ledger::Ledger;
use crate::report::Fate;

/// The blocks that are one, however often they are there. Of lists such as `virtual_ipaddress` each
/// is read for itself.
const TOGETHER: [&str; 3] = ["unicast_peer", "authentication", "auth_hmac"];

/// Moves what stands in the later blocks of an instance into the first of their name.
pub fn merge(statements: &mut [Statement], ledger: &mut Ledger) {
    for instance in statements.iter_mut().filter(|block| block.name() == "vrrp_instance") {
        let mut firsts = [None; TOGETHER.len()];
        let mut kept: Vec<Statement> = Vec::with_capacity(instance.inside.len());
        for mut block in std::mem::take(&mut instance.inside) {
            let Some(name) = TOGETHER.iter().position(|name| *name == block.name()) else {
                kept.push(block);
                continue;
            };
            if let Some(first) = firsts[name].and_then(|at: usize| kept.get_mut(at)) {
                join(first, &mut block, ledger);
            } else {
                firsts[name] = Some(kept.len());
                kept.push(block);
            }
        }
        instance.inside = kept;
    }
}

fn join(first: &mut Statement, block: &mut Statement, ledger: &mut Ledger) {
    if block.name() == "auth_hmac" {
        let why = "one with the block before it; keepalived may take one of them alone";
        ledger.note_words(block.id, &[0], Fate::Changed, why);
    }
    ledger.follow(block.id, first.id);
    first.is_block |= block.is_block;
    first.inside.append(&mut block.inside);
}
