//! One tree for many machines: what they share stands in it once, what only one of them needs lies
//! below its own name, and the boot script tells them apart by MAC address.
//!
//! Answers go by URL where the installer takes them so. Where they must be in the initrd, each machine
//! gets a second, small one: iPXE on a BIOS puts initrds one after the other, and the kernel's EFI stub
//! reads each `initrd=` of its command line right behind the one before (handle_cmdline_files of
//! drivers/firmware/efi/libstub), so the first must end at a multiple of 4, where cpio headers begin.

mod script;

pub use script::{GRUB_ID, MAC_LABEL, variants};

use super::netboot::{self, BOOT_IPXE, INITRD, Initrds, KERNEL};
use super::{Chosen, Inputs, Origin, Plan, Planned, Role, Source, add, boot_edit, hosted};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::family::draft::{ArgOp, BASE, Disks, Draft, Facts, Made, Note};
use crate::format::{cpio, grub, initrd, ipxe};
use crate::model::hosts::{Host, Hosts};
use crate::model::network::{Address, Mac};
use crate::model::profile::Profile;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where the files of one machine lie: `answers/NAME/…` by URL, `hosts/NAME.img` beside the initrd.
const ANSWERS: &str = "answers";
const IMAGES: &str = "hosts";
/// The files of a machine that is not listed; no host name has this character in it.
const UNLISTED: &str = "_unlisted";
/// Also where the profile says unattended.
const NEVER: &str = "A machine that is not listed is never installed without a question: it may start the \
                     installer from a menu, and goes on to its next boot device by itself.";
/// Hosts that a note names before it counts the others.
const NAMED: usize = 3;

/// A machine in the plan.
#[derive(Debug, Clone, Serialize)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// Its ports.
    pub macs: Vec<Mac>,
    /// Its address with the prefix length, or `dhcp`.
    pub address: String,
    /// True where it may lose its disks without a question.
    pub unattended: bool,
    /// What becomes of its disks.
    pub disks: Disks,
    /// Its kernel arguments; `@BASE@` stands for the tree's URL.
    pub cmdline: String,
    /// What its entry must hold beside what all must hold.
    pub must_have: Vec<String>,
}

/// A machine while the plan is made.
struct Machine<'a> {
    name: &'a str,
    host: Option<&'a Host>,
    profile: Profile,
    draft: Draft,
    chosen: Chosen,
}

/// Makes the plan.
///
/// # Errors
/// As [`super::make`], with the host's name; `Unsupported` where hosts differ in what all share.
pub(super) fn make(inputs: &Inputs, hosts: &Hosts) -> Result<Plan> {
    let Inputs { media, identity, recipe, target, .. } = inputs;
    hosts.check()?;
    let start = boot_edit::choose(inputs)?;
    let mut facts = super::facts(inputs);
    let mut machines = say_each(inputs, hosts, &mut facts)?;
    let unlisted = match say_unlisted(inputs, &mut facts) {
        Ok(m) => {
            machines.push(m);
            NEVER.to_owned()
        }
        Err(why) => format!("A machine that is not listed is offered no installer: {why}."),
    };
    let mut notes = vec![Note { warning: false, text: unlisted, assumed: false }];
    let mut draft = take_out_shared(&mut machines)?;
    for m in &mut machines {
        m.chosen = boot_edit::edit(&start, &m.draft).map_err(|e| of_host(e, m.name))?;
        ipxe::args(&m.chosen.cmdline).map_err(|e| of_host(e, m.name))?;
    }

    let (name, title) = super::names(recipe, identity);
    let mut files = BTreeMap::new();
    let (hosted_elsewhere, images) = payload(&mut files, inputs, &start, &mut draft, &machines)?;
    let common = script::Common {
        title: &title,
        ram_mib: draft.ram_mib,
        base: target.base_url.as_deref(),
        images,
        imgverify: target.imgverify,
    };
    boot_files(&mut files, inputs, &common, &draft, &machines)?;

    let told = merged_notes(&mut machines);
    let must_have = must_have_all(&machines);
    let first = &machines[0];
    let plans: Vec<HostPlan> = machines.iter().filter_map(|m| host_plan(m, &must_have)).collect();
    let worst = plans.iter().map(|h| &h.disks).find(|d| d.at_risk());
    notes.splice(0..0, told.into_iter().chain(draft.notes));
    notes.extend(super::notes_of_the_medium(inputs));
    notes.extend(start.notes.iter().cloned());
    Ok(Plan {
        name,
        title,
        recipe: recipe.name.clone(),
        identity: (*identity).clone(),
        source: Source::of(media, inputs.target.vouched.as_ref()),
        source_date_epoch: target.source_date_epoch,
        must_have,
        chosen: first.chosen.clone(),
        files,
        hosted_elsewhere,
        ram_mib: draft.ram_mib,
        disks: worst.unwrap_or(&plans[0].disks).clone(),
        delivery: first.draft.delivery.clone(),
        coverage: first.draft.coverage.clone(),
        hosts: plans,
        notes,
    }
    .settled())
}

fn of_host(e: Error, name: &str) -> Error {
    e.path(format!("host {name}"))
}

fn say_each<'a>(inputs: &Inputs, hosts: &'a Hosts, facts: &mut Facts) -> Result<Vec<Machine<'a>>> {
    let say = |host: &'a Host| {
        let profile = hosts.profile(host, inputs.profile)?;
        let draft = super::said(inputs, facts, &profile).map_err(|e| e.source_name(&host.place))?;
        if draft.disks == Disks::AsMedium && !profile.unattended {
            let message = format!(
                "host {} is not unattended, and this medium installs by itself and WIPES a disk",
                host.name
            );
            return Err(Error::unsupported(message)
                .source_name(&host.place)
                .hint("say unattended = true for it, or leave it out"));
        }
        Ok(Machine { name: &host.name, host: Some(host), profile, draft, chosen: none_yet() })
    };
    hosts.hosts.iter().map(say).collect()
}

/// The one that is not listed gets the installer only where it surely asks before it wipes: never with
/// answers of the operator's own, of which we know nothing.
fn say_unlisted(inputs: &Inputs, facts: &mut Facts) -> Result<Machine<'static>, String> {
    if let Some((name, _)) = &facts.own_answers {
        return Err(format!("your own {name} may wipe its disks"));
    }
    let mut profile = Hosts::unlisted(inputs.profile);
    // The hosts' way: `facts` has it, and where nothing is answered none is needed.
    profile.answers.delivery = None;
    let draft = super::said(inputs, facts, &profile).map_err(|e| e.to_string())?;
    if draft.disks.at_risk() {
        return Err(format!("disks {}", draft.disks));
    }
    Ok(Machine { name: UNLISTED, host: None, profile, draft, chosen: none_yet() })
}

fn none_yet() -> Chosen {
    Chosen {
        locus: None,
        id: String::new(),
        title: String::new(),
        vendor_cmdline: String::new(),
        cmdline: String::new(),
        edits: Vec::new(),
    }
}

/// What all machines share, out of their drafts. Each one's own files get a place below its name, in the
/// arguments that name them too.
fn take_out_shared(machines: &mut [Machine]) -> Result<Draft> {
    let first = &machines[0].draft;
    for m in machines.iter().filter(|m| m.host.is_some()) {
        let d = &m.draft;
        let what = [
            (d.hosted != first.hosted, "what of the medium is hosted"),
            (d.more_initrds != first.more_initrds, "initrds of the medium"),
            (d.ram_mib != first.ram_mib, "memory"),
            (d.loader_console != first.loader_console, "consoles"),
        ];
        if let Some((_, what)) = what.into_iter().find(|(differs, _)| *differs) {
            let message = format!("{} and {} differ in {what}", machines[0].name, m.name);
            return Err(Error::unsupported(message)
                .hint("what all hosts share can't differ: build two trees"));
        }
    }
    let mut draft = Draft {
        hosted: first.hosted.clone(),
        more_initrds: first.more_initrds.clone(),
        ram_mib: first.ram_mib,
        loader_console: first.loader_console.clone(),
        ..Draft::default()
    };
    draft.in_initrd = take_shared(machines, |d| &mut d.in_initrd, |_| true);
    draft.beside = take_shared(machines, |d| &mut d.beside, |m| !is_answer(&m.path));
    for m in machines {
        settle_own(m)?;
    }
    Ok(draft)
}

fn is_answer(path: &TreePath) -> bool {
    path.parts().next() == Some(ANSWERS.as_bytes())
}

/// Takes out the files that every machine has alike.
fn take_shared(
    machines: &mut [Machine],
    files: impl Fn(&mut Draft) -> &mut Vec<Made>,
    may: impl Fn(&Made) -> bool,
) -> Vec<Made> {
    let mut shared: Vec<Made> =
        files(&mut machines[0].draft).iter().filter(|m| may(m)).cloned().collect();
    for m in machines.iter_mut() {
        let there = files(&mut m.draft);
        shared.retain(|s| there.contains(s));
    }
    for m in machines {
        files(&mut m.draft).retain(|f| !shared.contains(f));
    }
    shared
}

/// `answers/ks.cfg` becomes `answers/NAME/ks.cfg`, in arguments too.
fn settle_own(m: &mut Machine) -> Result<()> {
    let own = format!("{ANSWERS}/{}", m.name);
    let mut moved = vec![(format!("{BASE}{ANSWERS}"), format!("{BASE}{own}"))];
    for f in &mut m.draft.beside {
        let old = f.path.to_string();
        let below = old.strip_prefix("answers/").unwrap_or(&old);
        let new = format!("{own}/{below}");
        if below == old {
            moved.push((format!("{BASE}{old}"), format!("{BASE}{new}")));
        }
        f.path = new.parse()?;
    }
    for a in &mut m.draft.args {
        let (ArgOp::Set(w) | ArgOp::Append(w) | ArgOp::AppendForTarget(w)) = &mut a.op else {
            continue;
        };
        for (old, new) in &moved {
            if w.contains(old.as_str()) {
                *w = w.replace(old.as_str(), new);
            }
        }
    }
    Ok(())
}

/// The words with a URL of the tree that is no machine's own, each once.
fn shared_urls(machines: &[Machine]) -> String {
    let mut words = BTreeSet::new();
    for m in machines {
        let own = format!("{BASE}{ANSWERS}/{}", m.name);
        let urls = m.chosen.cmdline.split_whitespace().filter(|w| w.contains(BASE));
        words.extend(urls.filter(|w| !w.contains(&own)));
    }
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// Where the machines' own initrds stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Images {
    /// They have none.
    None,
    /// Before the shared one, behind which nothing may follow.
    Before,
    /// Behind it.
    Behind,
}

/// The shared initrd, and a small one for each machine that has files of its own in it.
fn initrds(
    files: &mut BTreeMap<TreePath, Planned>,
    inputs: &Inputs,
    start: &boot_edit::Start,
    draft: &Draft,
    machines: &[Machine],
) -> Result<Images> {
    let initrds = Initrds::of(inputs, start, draft)?;
    let mut base = initrds.extended(&draft.in_initrd)?;
    let images = match machines.iter().any(|m| !m.draft.in_initrd.is_empty()) {
        false => Images::None,
        true if initrd::must_be_last(&initrds.vendor) => Images::Before,
        true => Images::Behind,
    };
    let len = base.content.len();
    if images == Images::Behind && len % 4 != 0 {
        let gap = len.next_multiple_of(4) - len;
        base.content = Content::concat([base.content, Content::zeros(gap)]);
        base.reasons.push("zeros up to a multiple of 4, where the hosts' own may begin".into());
        if let Origin::Medium { path, .. } = base.origin {
            base.origin =
                Origin::Extended { path, added: Vec::new(), folders: Vec::new(), bytes: gap };
        }
    }
    add(files, INITRD.parse()?, base)?;
    if images == Images::None {
        return Ok(images);
    }
    for m in machines {
        let entries = initrds.landed(&m.draft.in_initrd)?;
        let what: Vec<String> =
            m.draft.in_initrd.iter().map(|f| format!("{}: {}", f.path, f.reason)).collect();
        let mut f = netboot::made(Vec::new(), &what.join("; "));
        f.content = cpio::archive(&entries)?;
        // Answers lie in it.
        f.mode = 0o600;
        add(files, image_of(m.name).parse()?, f)?;
    }
    Ok(images)
}

/// All but the boot files. Returns what arguments name and nobody hosts, and where the hosts' initrds go.
fn payload(
    files: &mut BTreeMap<TreePath, Planned>,
    inputs: &Inputs,
    start: &boot_edit::Start,
    draft: &mut Draft,
    machines: &[Machine],
) -> Result<(Vec<String>, Images)> {
    let asked = Chosen { cmdline: shared_urls(machines), ..machines[0].chosen.clone() };
    let elsewhere = hosted::plan(files, inputs.media, draft, inputs.target, &asked)?;
    add(files, KERNEL.parse()?, netboot::kernel(start))?;
    let images = initrds(files, inputs, start, draft, machines)?;
    netboot::beside(files, inputs.media, &draft.beside)?;
    for m in machines {
        netboot::beside(files, inputs.media, &m.draft.beside)?;
    }
    Ok((elsewhere, images))
}

fn boot_files(
    files: &mut BTreeMap<TreePath, Planned>,
    inputs: &Inputs,
    common: &script::Common,
    draft: &Draft,
    machines: &[Machine],
) -> Result<()> {
    let script = script::boot_ipxe(common, machines);
    let config = script::grub_cfg(common, draft, machines)?;
    for (name, len, most) in
        [(BOOT_IPXE, script.len(), ipxe::MAX_LEN), ("grub.cfg", config.len(), grub::MAX_LEN)]
    {
        if len > most {
            return Err(Error::unsupported(format!("{len} bytes; the limit is {most}"))
                .path(name)
                .hint("serve the hosts from several trees"));
        }
    }
    let reason = format!("from {}", netboot::source_of(&machines[0].chosen));
    let mut entry = netboot::made(script.into_bytes(), &reason);
    entry.role = Role::EntryPoint;
    add(files, BOOT_IPXE.parse()?, entry)?;
    netboot::grub_files(files, inputs, &config, &script::grub_beside(common, draft))
}

fn image_of(name: &str) -> String {
    format!("{IMAGES}/{name}.img")
}

/// Notes of all machines, each once, with the names of those that it is for where not all have it.
fn merged_notes(machines: &mut [Machine]) -> Vec<Note> {
    let all = machines.iter().filter(|m| m.host.is_some()).count();
    let mut order: Vec<Note> = Vec::new();
    let mut of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for m in machines.iter_mut().filter(|m| m.host.is_some()) {
        for n in std::mem::take(&mut m.draft.notes) {
            let names = of.entry(n.text.clone()).or_default();
            if names.is_empty() {
                order.push(n);
            }
            names.push(m.name);
        }
    }
    for n in &mut order {
        let names = &of[&n.text];
        if names.len() == all {
            continue;
        }
        let some = names[..names.len().min(NAMED)].join(", ");
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        n.text = format!("{some}{more}: {}", n.text);
    }
    order
}

/// Consoles and bond words that every machine's entry holds.
fn must_have_all(machines: &[Machine]) -> Vec<String> {
    let mut all = super::must_have(&machines[0].profile, &machines[0].chosen);
    for m in &machines[1..] {
        let words: BTreeSet<&str> = m.chosen.cmdline.split_whitespace().collect();
        all.retain(|w| words.contains(w.as_str()));
    }
    all
}

fn host_plan(m: &Machine, all: &[String]) -> Option<HostPlan> {
    let host = m.host?;
    Some(HostPlan {
        name: host.name.clone(),
        macs: host.macs.clone(),
        address: match &m.profile.network.address {
            Address::Dhcp => "dhcp".to_owned(),
            Address::Static { address, .. } => address.to_string(),
        },
        unattended: m.draft.disks.at_risk(),
        disks: m.draft.disks.clone(),
        cmdline: m.chosen.cmdline.clone(),
        must_have: super::must_have(&m.profile, &m.chosen)
            .into_iter()
            .filter(|w| !all.contains(w))
            .collect(),
    })
}
