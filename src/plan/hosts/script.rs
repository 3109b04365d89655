//! The boot files that tell machines apart. iPXE looks for a label with the MAC address of each of its
//! ports in turn: one look through the script per port, where a line per address would be compared
//! with each port. A machine that has none waits; it is never installed unless somebody says so.

use super::super::netboot::{self, Grub, INITRD, KERNEL};
use super::{IMAGES, Images, Machine, image_of};
use crate::error::Result;
use crate::family::draft::{BASE, Draft};
use crate::format::grub;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Ports that are looked at: four-port machines with two more on a card, in any order.
const PORTS: usize = 8;
/// What stands before a MAC address in a label of `boot.ipxe`.
pub const MAC_LABEL: &str = "mac-";
/// What stands before a host's name in the id of its entry in `grub.cfg`.
pub const GRUB_ID: &str = "host-";
/// The lines between which the machines' own lines stand.
const FIRST: &str = "goto unlisted";
const START: &str = "goto start";
const LAST: &str = ":start";
/// How long a machine that is not listed is held, in seconds.
const HOLD: u32 = 60;

/// What is the same for all.
pub(super) struct Common<'a> {
    pub title: &'a str,
    pub ram_mib: u64,
    pub base: Option<&'a str>,
    pub images: Images,
    /// Kernel and initrds are checked by their signatures.
    pub imgverify: bool,
}

/// `boot.ipxe`.
pub(super) fn boot_ipxe(c: &Common, machines: &[Machine]) -> String {
    let url = c.base.unwrap_or("${base}");
    let named: Vec<String> = machines.iter().map(with_host_variable).collect();
    let cmdlines: Vec<Vec<&str>> = named.iter().map(|c| c.split(' ').collect()).collect();
    let (head, tail) = common_ends(&cmdlines);
    let frequent = Frequent::of(cmdlines.iter().map(|w| &w[head..w.len() - tail]));
    let own = |words: &[&str]| {
        let words = words[head..words.len() - tail].iter();
        let said = words.map(|w| frequent.name(w).map_or((*w).to_owned(), |n| format!("${{{n}}}")));
        said.collect::<Vec<_>>().join(" ").replace(BASE, url)
    };
    let needs_base = c.base.is_none() && machines.iter().any(|m| m.chosen.cmdline.contains(BASE));

    let mut s = netboot::prologue(c.title, needs_base);
    for (name, word) in frequent.all() {
        let _ = writeln!(s, "set {name} {}", word.replace(BASE, url));
    }
    s.push_str("# Which machine is this? Any of its ports will do.\n");
    for n in 0..PORTS {
        let _ = writeln!(s, "isset ${{net{n}/mac}} && goto {MAC_LABEL}${{net{n}/mac}} ||");
    }
    let _ = writeln!(s, "{FIRST}");
    let mut offer = None;
    for (m, words) in machines.iter().zip(&cmdlines) {
        let Some(host) = m.host else {
            offer = Some((m.name, own(words)));
            continue;
        };
        for mac in &host.macs {
            let _ = writeln!(s, ":{MAC_LABEL}{mac}");
        }
        let _ = writeln!(s, "set host {}\nset args {}\n{START}", m.name, own(words));
    }
    s.push_str(&unlisted(c.title, offer));
    let _ = writeln!(s, "{LAST}");
    s.push_str(&netboot::ram_guard(c.ram_mib));
    let first = cmdlines.first().map_or(&[][..], |w| &w[..]);
    let all = |words: &[&str]| words.join(" ").replace(BASE, url);
    let (before, behind) = (all(&first[..head]), all(&first[first.len() - tail..]));
    let args: Vec<&str> =
        [&before[..], "${args}", &behind[..]].into_iter().filter(|w| !w.is_empty()).collect();
    let own_name = "${host}.img";
    let own_image = format!("{IMAGES}/{own_name}");
    let initrds = match c.images {
        Images::None => vec![(INITRD, INITRD)],
        Images::Before => vec![(own_name, &own_image[..]), (INITRD, INITRD)],
        Images::Behind => vec![(INITRD, INITRD), (own_name, &own_image[..])],
    };
    let names: Vec<String> = initrds.iter().map(|(name, _)| format!("initrd={name}")).collect();
    let _ = writeln!(
        s,
        "echo {} for ${{host}}\nkernel {KERNEL} {} {} || goto failed",
        c.title,
        names.join(" "),
        args.join(" ")
    );
    for (_, path) in &initrds {
        let _ = writeln!(s, "initrd {path} || goto failed");
    }
    if c.imgverify {
        let mut images = vec![(KERNEL, KERNEL)];
        images.extend(&initrds);
        s.push_str(&netboot::imgverify(&images));
    }
    s.push_str("boot || goto failed\n");
    s + &netboot::epilogue(c.title, needs_base) + ":leave\nexit 1\n"
}

/// A machine's arguments with `${host}` for its name where it is a folder or a field of its own: so its URL
/// is the same text for all.
fn with_host_variable(m: &Machine) -> String {
    let (folder, field) = (format!("answers/{}/", m.name), format!(":{}:", m.name));
    m.chosen.cmdline.replace(&folder, "answers/${host}/").replace(&field, ":${host}:")
}

/// Long words that many machines have: each is a variable of its own.
struct Frequent<'a>(Vec<&'a str>);

impl<'a> Frequent<'a> {
    /// Shorter ones are not worth a name, rarer ones neither: the script of a few machines stays readable.
    const LEN: usize = 16;
    const TIMES: usize = 8;

    fn of<'w>(all: impl Iterator<Item = &'w [&'a str]>) -> Self
    where
        'a: 'w,
    {
        let mut times = BTreeMap::new();
        let long = all.flatten().filter(|w| w.len() >= Self::LEN && !w.contains("${"));
        long.for_each(|w| *times.entry(*w).or_insert(0) += 1);
        Frequent(times.into_iter().filter(|(_, n)| *n >= Self::TIMES).map(|(w, _)| w).collect())
    }

    fn name(&self, word: &str) -> Option<String> {
        self.0.binary_search(&word).ok().map(|i| format!("w{i}"))
    }

    fn all(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().enumerate().map(|(i, w)| (format!("w{i}"), *w))
    }
}

/// How many words all have alike at the beginning, and how many at the end: what lies between is each
/// one's own. So the words keep their order, on which consoles and `---` depend.
fn common_ends(all: &[Vec<&str>]) -> (usize, usize) {
    let Some((first, rest)) = all.split_first() else { return (0, 0) };
    let shortest = all.iter().map(Vec::len).min().unwrap_or(0);
    let head = (0..shortest).take_while(|&i| rest.iter().all(|w| w[i] == first[i])).count();
    let tail = (1..=shortest - head)
        .take_while(|&i| rest.iter().all(|w| w[w.len() - i] == first[first.len() - i]))
        .count();
    (head, tail)
}

/// A machine that nobody listed: what it is told, and what it is offered.
fn unlisted(title: &str, offer: Option<(&str, String)>) -> String {
    let said = "echo isowright: no host of this tree has the MAC address ${net0/mac}\n";
    let Some((name, args)) = offer else {
        return format!(":unlisted\n{said}goto end\n");
    };
    format!(
        ":unlisted\n{said}\
         menu {title}: this machine is not listed || goto end\n\
         item leave Leave it alone, go on to the next boot device\n\
         item offer Start the installer, which asks before it touches a disk\n\
         choose --default leave --timeout {}000 choice || goto leave\n\
         iseq ${{choice}} offer || goto leave\n\
         set host {name}\nset args {args}\n{START}\n",
        HOLD
    )
}

/// `grub.cfg`: each machine's entry stands behind the question for its address.
pub(super) fn grub_cfg(c: &Common, draft: &Draft, machines: &[Machine]) -> Result<String> {
    let Grub { text: mut s, device, url } = netboot::grub_prologue(c.title, draft, c.base);
    let cmdlines: Vec<Vec<&str>> = machines
        .iter()
        .map(|m| {
            m.chosen
                .cmdline
                .split(' ')
                .filter(|w| !w.contains(BASE) && grub::quote(w) == **w)
                .collect()
        })
        .collect();
    let frequent = Frequent::of(cmdlines.iter().map(Vec::as_slice));
    for (name, word) in frequent.all() {
        let _ = writeln!(s, "set {name}={word}");
    }
    let entry = |m: &Machine, title: &str, id: &str| -> Result<String> {
        let own = format!("{device}/{}", image_of(m.name));
        let shared = format!("{device}/{INITRD}");
        let initrds = match c.images {
            Images::None => shared,
            Images::Before => format!("{own} {shared}"),
            Images::Behind => format!("{shared} {own}"),
        };
        let args = netboot::grub_args(&m.chosen.cmdline, &url)?;
        let args: Vec<String> = args
            .split(' ')
            .map(|w| frequent.name(w).map_or(w.to_owned(), |n| format!("${n}")))
            .collect();
        let args = args.join(" ");
        Ok(format!(
            "menuentry {} --id {id} {{\n\
             \tlinux {device}/{KERNEL} {args}\n\
             \tinitrd {initrds}\n\
             }}\n",
            grub::quote(title)
        ))
    };
    let _ = write!(
        s,
        "# A machine that is not listed below is left alone.\n\
         set default=leave\nset timeout={HOLD}\n\
         menuentry 'Leave it alone, go on to the next boot device' --id leave {{\n\texit 1\n}}\n"
    );
    for m in machines {
        let Some(host) = m.host else {
            s += &entry(m, "Start the installer, which asks before it touches a disk", "offer")?;
            continue;
        };
        let tests: Vec<String> =
            host.macs.iter().map(|mac| format!("\"$net_default_mac\" = \"{mac}\"")).collect();
        let id = grub::quote(&format!("{GRUB_ID}{}", m.name));
        let _ = writeln!(
            s,
            "if [ {} ]; then\nset default={id}\nset timeout=5\n{}fi",
            tests.join(" -o "),
            entry(m, &format!("{} for {}", c.title, m.name), &id)?
        );
    }
    Ok(s)
}

/// The `grub.cfg` beside the loaders: it reads the other, for with many machines that is long. `source` comes
/// with `configfile`, which every vendor's GRUB has built in, and keeps the variables.
pub(super) fn grub_beside(c: &Common, draft: &Draft) -> String {
    let Grub { text, device, .. } = netboot::grub_prologue(c.title, draft, c.base);
    format!("{text}source {device}/{}\n", netboot::GRUB_CFG)
}

/// A `boot.ipxe` as each of its machines runs it: all but the others' lines. Empty for a
/// script that tells no machines apart.
pub fn variants(script: &str) -> Vec<String> {
    let line = |l: &str| script.find(&format!("\n{l}\n")).map(|at| at + l.len() + 2);
    let (Some(from), Some(to)) = (line(FIRST), line(LAST)) else { return Vec::new() };
    let to = to - LAST.len() - 1;
    if from > to {
        return Vec::new();
    }
    let end = format!("{START}\n");
    let blocks = script[from..to].split_inclusive(&end).filter(|b| b.ends_with(&end));
    blocks.map(|b| format!("{}{b}{}", &script[..from], &script[to..])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machines_own_words_keep_their_place() {
        let split = |s: &'static str| s.split(' ').collect::<Vec<_>>();
        let ends =
            |all: &[&'static str]| common_ends(&all.iter().map(|s| split(s)).collect::<Vec<_>>());
        assert_eq!(ends(&["a b x c", "a b y z c"]), (2, 1));
        assert_eq!(ends(&["a b", "a b"]), (2, 0));
        assert_eq!(ends(&["a b", "a"]), (1, 0));
        assert_eq!(ends(&["a x a", "a a"]), (1, 1));
        assert_eq!(ends(&["a"]), (1, 0));
    }

    #[test]
    fn long_words_of_many_get_a_name() {
        let (a, b) = ("bond=bond0:eth0,eth1", "rd.net.timeout.carrier=30");
        let mut all = vec![vec![a, "quiet", b]; Frequent::TIMES];
        all.push(vec!["inst.ks=${base}answers/ks", "nameserver=192.0.2.53"]);
        let f = Frequent::of(all.iter().map(Vec::as_slice));
        assert_eq!(f.all().collect::<Vec<_>>(), [("w0".into(), a), ("w1".into(), b)]);
        assert_eq!((f.name(b), f.name("quiet")), (Some("w1".into()), None));
        assert!(Frequent::of(all[1..].iter().map(Vec::as_slice)).0.is_empty());
    }

    #[test]
    fn a_script_is_read_as_each_machine_runs_it() {
        let text = "#!ipxe\ngoto unlisted\n:mac-a\nset host a\ngoto start\n:mac-b\nset host b\ngoto start\n\
                    :unlisted\necho\ngoto end\n:start\nboot\n";
        let all = variants(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[1], "#!ipxe\ngoto unlisted\n:mac-b\nset host b\ngoto start\n:start\nboot\n");
        assert!(variants("#!ipxe\nboot\n").is_empty());
    }
}
