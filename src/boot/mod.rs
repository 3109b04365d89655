//! Proof: a tree is served on loopback and booted in QEMU, under SeaBIOS and OVMF, through the iPXE
//! that QEMU's network cards carry; or an ISO is put into its drive. The second serial port, the one
//! an operator sees on such machines, is watched for a line.

mod console;
mod judge;
mod qemu;

pub use console::Cleaner;
pub use judge::{Outcome, Why};

use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::model::arch::Firmware;
use crate::model::network::Mac;
use crate::serve::{Served, Server, Site};
use judge::{Expectation, Judge};
use qemu::Machine;
use regex::Regex;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Said by a Linux kernel once its initramfs is unpacked and user space begins: a missing or broken
/// initrd never gets there. The second half is for kernels before 4.20, which don't say the first.
pub const USER_SPACE: &str = r"Run /\S+ as init process|Freeing unused kernel (image|memory)";

/// RAM in MiB, where neither the caller nor the tree's manifest says.
const MEMORY_MIB: u32 = 1536;
/// How often the ports are read.
const TICK: Duration = Duration::from_millis(100);

/// From where the machine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From the tree.
    Network,
    /// From its first disk: what was installed.
    Disk,
    /// From an ISO in a CD drive.
    Cd,
    /// From an ISO on an USB stick.
    Usb,
}

impl Start {
    /// Whether an ISO is started and no tree.
    pub fn is_medium(self) -> bool {
        matches!(self, Start::Cd | Start::Usb)
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Start::Network => "network",
            Start::Disk | Start::Usb => "disk",
            Start::Cd => "cd",
        })
    }
}

/// What to prove, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that is served; the ISO where `start` is [`Start::Cd`] or [`Start::Usb`]. Nothing is
    /// written to either.
    pub subject: PathBuf,
    /// The boot script in it.
    pub script: TreePath,
    /// Port of the web server; 0: any. The machine sees it at 10.0.2.2, which a tree with a fixed base
    /// URL must name.
    pub port: u16,
    /// Firmwares, each in turn.
    pub firmware: Vec<Firmware>,
    /// What must come on the second serial port; `None`: [`USER_SPACE`].
    pub expect: Option<Regex>,
    /// Network ports.
    pub nics: u8,
    /// Addresses of the first ports, for a tree that tells machines apart; ports beyond have ours.
    pub macs: Vec<Mac>,
    /// QEMU's name of their model. The default has a speed, without which 802.3ad keeps a port down.
    pub nic_model: String,
    /// RAM in MiB; `None`: what `manifest.json` says (`ram_mib`), else 1536.
    pub memory_mib: Option<u32>,
    /// Per firmware.
    pub timeout: Duration,
    /// How long the second port may stay silent after iPXE's last download.
    pub silence: Duration,
    /// How long after the match a panic still counts.
    pub settle: Duration,
    /// Raw disk images that an installation may write to.
    pub disks: Vec<PathBuf>,
    /// From where it starts.
    pub start: Start,
    /// QEMU's `-accel`. Emulation works everywhere; `kvm` is ten times faster where it may be used.
    pub accel: String,
}

impl Options {
    /// `folder/boot.ipxe` under both firmwares, with the defaults of the command line.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Options {
            subject: folder.into(),
            script: TreePath::new("boot.ipxe").unwrap_or_default(),
            port: 0,
            firmware: vec![Firmware::Bios, Firmware::Uefi],
            expect: None,
            nics: 1,
            macs: Vec::new(),
            nic_model: "virtio-net-pci,speed=10000,duplex=full".into(),
            memory_mib: None,
            timeout: Duration::from_secs(300),
            silence: Duration::from_secs(90),
            settle: Duration::from_secs(5),
            disks: Vec::new(),
            start: Start::Network,
            accel: "tcg,thread=multi".into(),
        }
    }
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Event<'a> {
    /// A machine starts; `memory_mib` of RAM.
    Started {
        /// Firmware.
        firmware: Firmware,
        /// RAM.
        memory_mib: u32,
        /// The boot script, as the machine sees it and its DHCP lease says; or the ISO's path.
        from: &'a str,
    },
    /// Text on the first serial port (firmware, iPXE), safe to print.
    Com1(&'a str),
    /// Text on the second serial port (the operator's console), safe to print.
    Com2(&'a str),
    /// Bytes on the second serial port as they came: for a file, not for a terminal.
    Com2Raw(&'a [u8]),
    /// The web server answered.
    Request(&'a Served),
    /// A firmware is done.
    Done(&'a Verdict),
}

/// How one firmware fared.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Firmware.
    pub firmware: Firmware,
    /// From where it was started.
    pub start: Start,
    /// How.
    pub outcome: Outcome,
    /// The end of what came on the first port, cleaned.
    pub com1: String,
    /// The end of what came on the second port, cleaned.
    pub com2: String,
    /// Every request, in order.
    pub requests: Vec<Served>,
}

impl Verdict {
    /// Whether what was expected came.
    pub fn passed(&self) -> bool {
        matches!(self.outcome, Outcome::Passed { .. })
    }
}

/// Boots the tree or the ISO once per firmware. A failed boot is a verdict, not an error.
///
/// # Errors
/// `NotFound` where folder, script, ISO, QEMU or OVMF is missing; `Interrupted` once `stop` is set.
pub fn prove(
    o: &Options,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Verdict>> {
    let (sender, requests) = mpsc::channel();
    let server = if o.start.is_medium() {
        medium_there(&o.subject)?;
        None
    } else {
        Some(serve(o, sender)?)
    };
    let memory = o.memory_mib.unwrap_or_else(|| manifest_memory(&o.subject));
    // QEMU's user network shows our loopback as 10.0.2.2.
    let from = match &server {
        Some(s) => format!("http://10.0.2.2:{}/{}", s.addr().port(), o.script),
        None => o.subject.display().to_string(),
    };
    let mut verdicts = Vec::new();
    for &firmware in &o.firmware {
        tell(Event::Started { firmware, memory_mib: memory, from: &from });
        let machine = Machine::start(o, firmware, memory, &from)?;
        let verdict = watch(o, firmware, machine, &requests, stop, tell)?;
        tell(Event::Done(&verdict));
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// Serves the tree; every request that was answered goes to `sender`.
fn serve(o: &Options, sender: mpsc::Sender<Served>) -> Result<Server> {
    let site = Site::folder(&o.subject)?;
    if o.start == Start::Network && site.file(&o.script)?.is_none() {
        return Err(Error::new(ErrorKind::NotFound, "no such boot script")
            .source_name(o.subject.display())
            .path(&o.script)
            .hint("give the folder that `isowright build` wrote"));
    }
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, o.port));
    let log = move |served: &Served| {
        let _ = sender.send(served.clone());
    };
    Server::start(site, local, Arc::new(log))
}

/// QEMU's own word about a missing file is about its options.
fn medium_there(iso: &Path) -> Result<()> {
    let fail = |e| Error::io("can't open the ISO", e).source_name(iso.display());
    let file = File::open(iso).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(Error::usage("a folder can't be put into a drive").source_name(iso.display()));
    }
    Ok(())
}

fn watch(
    o: &Options,
    firmware: Firmware,
    mut machine: Machine,
    requests: &mpsc::Receiver<Served>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Verdict> {
    let internal = |e: regex::Error| Error::usage("bad pattern").because(e);
    let pattern = match &o.expect {
        Some(p) => p.clone(),
        None => Regex::new(USER_SPACE).map_err(internal)?,
    };
    let (timeout, silence, settle) = (o.timeout, o.silence, o.settle);
    let by_network = o.start == Start::Network;
    let expectation = Expectation { pattern, timeout, silence, settle, by_network };
    let mut judge = Judge::new(expectation).map_err(internal)?;
    let began = Instant::now();
    let (mut port1, mut port2) = (Tail::new(machine.port(1)), Tail::new(machine.port(2)));
    let mut served = Vec::new();
    let outcome = loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
        // Asked before the ports are read, so that last words are heard before the verdict.
        let ended = machine.ended()?;
        let now = began.elapsed();
        for r in requests.try_iter() {
            tell(Event::Request(&r));
            judge.request(now, &path_of(&r), r.status, r.path.as_ref() == Some(&o.script));
            served.push(r);
        }
        if let Some(bytes) = port1.more()? {
            tell(Event::Com1(&judge.com1(now, &bytes)));
        }
        if let Some(bytes) = port2.more()? {
            tell(Event::Com2Raw(&bytes));
            tell(Event::Com2(&judge.com2(now, &bytes)));
        }
        if let Some(outcome) = judge.decide(now, ended.as_deref()) {
            break outcome;
        }
        std::thread::sleep(TICK);
    };
    drop(machine);
    // What the dead machine had asked for must not count against the next one.
    served.extend(requests.try_iter());
    let (com1, com2) = judge.transcripts();
    Ok(Verdict { firmware, start: o.start, outcome, com1, com2, requests: served })
}

fn path_of(r: &Served) -> String {
    r.path.as_ref().map_or_else(|| Cleaner::default().clean(r.target.as_bytes()), |p| p.to_string())
}

/// What `isowright build` found out about the tree's need of RAM.
fn manifest_memory(folder: &Path) -> u32 {
    let read = || -> Option<u64> {
        let text = std::fs::read(folder.join("manifest.json")).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?.get("ram_mib")?.as_u64()
    };
    match read().and_then(|n| u32::try_from(n).ok()) {
        Some(n) if n > 0 => n.max(512),
        _ => MEMORY_MIB,
    }
}

/// A file that grows.
struct Tail {
    path: PathBuf,
    file: Option<File>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Tail { path, file: None }
    }

    /// What has come since the last call. QEMU makes the file when it is ready to.
    fn more(&mut self) -> Result<Option<Vec<u8>>> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(1 << 20)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io("can't read a serial port's log", e))?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}
