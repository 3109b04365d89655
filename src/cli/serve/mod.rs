//! `serve`: trees over HTTP, from folders, recipe files and ISOs.

mod dnsmasq;
mod log;
mod sources;

use super::args::Serve;
use super::{Outcome, term};
use crate::content::media_type;
use crate::content::path::TreePath;
use crate::content::tree::{Node, Tree};
use crate::error::{Error, Result};
use crate::serve::machines::{Machines, Stage};
use crate::serve::{Options, Page, Served, Server, Site};
use log::Lines;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sources::Trees;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// How long answers may take to finish after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);
/// How often the log is written and Ctrl-C heard.
const TICK: Duration = Duration::from_millis(100);

const STATUS: &str = ".isowright/status";
pub const DONE: &str = ".isowright/done";
/// Where iPXE's own files lie, for UEFI HTTP Boot.
const IPXE: &str = ".isowright/ipxe";

pub fn run(a: &Serve) -> Result<Outcome> {
    if let Some(way) = a.dnsmasq {
        term::out(&dnsmasq::config(a, way)?);
        return Ok(Outcome::Done);
    }
    let trees = Trees::of(a)?;
    let machines = Arc::new(Machines::default());
    let site = site(a, &trees, &machines)?;
    let lines = Arc::new(Lines::default());
    let (options, log) = (options(a), logger(a, &trees, machines, lines.clone()));
    let server = Server::start_with(site, a.listen, options, log).map_err(|e| {
        e.hint("another program may have the port, or the address is not this machine's: --listen ADDR:PORT")
    })?;
    announce(a, &trees, server.addr());
    while !term::STOP.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
        lines.print();
    }
    // To stop it is how a service ends, and no failure.
    server.stop(GRACE);
    lines.print();
    Ok(Outcome::Done)
}

fn options(a: &Serve) -> Options {
    let connections = a.connections as usize;
    raise_limit(connections);
    Options { connections, clock: Some(Arc::new(now)) }
}

/// A socket each, and a file; as far as the system lets us.
fn raise_limit(connections: usize) {
    let want = connections as u64 * 2 + 64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let may = maximum.map_or(want, |m| m.min(want));
    if current.is_some_and(|c| c < may) {
        // Without it fewer are served at a time, and the others wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(may), maximum });
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

fn site(a: &Serve, trees: &Trees, machines: &Arc<Machines>) -> Result<Site> {
    let mut site = trees.site()?;
    let mut ipxe = Tree::new();
    for name in [dnsmasq::EFI, dnsmasq::BIOS] {
        let file = a.ipxe.join(name);
        if file.is_file() {
            let content = crate::content::Content::open(&file)?;
            ipxe.insert(name.parse()?, Node::file(content));
        }
    }
    if !ipxe.is_empty() {
        site.add_hidden(IPXE.parse()?, Arc::new(ipxe));
    }
    let page = |media_type, body: String| Page { media_type, body: body.into_bytes() };
    site.add_page(
        DONE.parse()?,
        Arc::new(move |_| page("text/plain; charset=utf-8", "done\n".into())),
    );
    if a.status {
        let machines = machines.clone();
        let make = move |json| match json {
            true => page("application/json", machines.json(now())),
            false => page(media_type::of(b".html"), machines.html(now())),
        };
        site.add_page(STATUS.parse()?, Arc::new(make));
    }
    Ok(site)
}

fn logger(
    a: &Serve,
    trees: &Trees,
    machines: Arc<Machines>,
    lines: Arc<Lines>,
) -> crate::serve::Log {
    let (json, quiet, known) = (a.json, a.quiet, trees.known());
    let done: Option<TreePath> = DONE.parse().ok();
    Arc::new(move |served: &Served| {
        let mut meaning = known.meaning(served);
        if served.path.is_some() && served.path == done {
            meaning.stage = Some(Stage::Done);
        }
        let t = now();
        let further = machines.saw(served, &meaning, t);
        if !quiet {
            lines.add(&log::line(json, served, &meaning, t));
        }
        if let Some(way) = further {
            lines.add(&log::further(json, &way, t));
        }
    })
}

/// Says where what is served. For machines the log begins at once.
fn announce(a: &Serve, trees: &Trees, addr: SocketAddr) {
    if !addr.ip().to_canonical().is_loopback() {
        eprintln!(
            "warning: whoever reaches {addr} can read all that is served, answer files and what they hold too"
        );
    }
    if a.json {
        eprintln!("isowright: serving on http://{addr}/");
        return;
    }
    let mut s = format!("Serving on http://{addr}/ until Ctrl-C; nothing is written\n");
    for line in trees.lines() {
        s.push_str(&format!("  http://{addr}/{}\n", term::safe(&line)));
    }
    if a.status {
        s.push_str(&format!("  http://{addr}/{STATUS}  the machines\n"));
    }
    term::out(&s);
}

/// For a place that can't be a name in a URL.
fn no_name(what: &str) -> Error {
    Error::usage(format!("\"{what}\" can't be served below that name"))
        .hint("rename it, or serve it alone")
}
