//! What the operator's own words make doubtful, whatever the medium: notes beside the plan's.

use super::Inputs;
use crate::error::Result;
use crate::family::draft::{Note, Route};
use crate::format::plain_password;
use crate::model::network::{Cidr, Network};
use std::net::IpAddr;

/// Lines or hosts that a note names before it counts the others.
const NAMED: usize = 3;

/// # Errors
/// As [`crate::model::hosts::Hosts::profile`].
pub(super) fn of(inputs: &Inputs) -> Result<Vec<Note>> {
    let Inputs { profile, target, .. } = inputs;
    let mut notes: Vec<Note> = plain_passwords(inputs).into_iter().collect();
    let Some(hosts) = &target.hosts else {
        notes.extend(profile.network.far_gateway().map(|far| far_gateway(far, &[])));
        return Ok(notes);
    };
    let mut names = Vec::new();
    let mut first = None;
    for h in &hosts.hosts {
        let network: Network = hosts.profile(h, profile)?.network;
        if let Some(far) = network.far_gateway() {
            first.get_or_insert(far);
            names.push(h.name.as_str());
        }
    }
    notes.extend(first.map(|far| far_gateway(far, &names)));
    Ok(notes)
}

/// For a single address (/32) a gateway can't be but outside.
fn far_gateway((gateway, address): (IpAddr, Cidr), hosts: &[&str]) -> Note {
    let whole = if address.addr.is_ipv4() { 32 } else { 128 };
    let whose = match hosts {
        [] => String::new(),
        [one] => format!(" ({one})"),
        [one, more @ ..] => format!(" ({one}, and so for {})", some(more.iter(), more.len())),
    };
    Note {
        warning: address.prefix != whole,
        text: format!(
            "Gateway {gateway} lies outside {address}{whose}: it is reached only where the network has \
             it on the link and the installer sets a route to it."
        ),
        assumed: false,
    }
}

/// The answer file that the installer will read is the operator's, and anybody who reads the tree or the
/// initrd reads it too.
fn plain_passwords(inputs: &Inputs) -> Option<Note> {
    let Inputs { recipe, target, .. } = inputs;
    let kind = recipe.family.answer_kind()?;
    let (name, bytes) = target.answers.as_ref().or_else(|| target.own_answers.get(&kind))?;
    let lines = plain_password::lines(kind, &String::from_utf8_lossy(bytes));
    if lines.is_empty() {
        return None;
    }
    let which = if lines.len() == 1 { "line" } else { "lines" };
    let place = match target.route {
        Route::Network => "the tree or the initrd",
        Route::Medium => "the medium or its image",
    };
    let text = format!(
        "{name} has a plain password in {which} {}: whoever gets at {place} reads it. Give \
         its hash (openssl passwd -6).",
        some(lines.iter(), lines.len())
    );
    Some(Note { warning: true, text, assumed: false })
}

/// The first few, and how many more.
fn some<T: ToString>(all: impl Iterator<Item = T>, len: usize) -> String {
    let named: Vec<String> = all.take(NAMED).map(|x| x.to_string()).collect();
    match len.saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
