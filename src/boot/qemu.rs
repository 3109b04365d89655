//! QEMU as a child process: which machine, and that it never outlives us.

use super::{Options, Start};
use crate::error::{Error, ErrorKind, Result};
use crate::model::arch::Firmware;
use crate::model::network::Mac;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

const QEMU: &str = "qemu-system-x86_64";

/// Where distributions put OVMF: code, and the variable store to copy.
const OVMF: [(&str, &str); 7] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    ("/usr/share/ovmf/x64/OVMF_CODE.fd", "/usr/share/ovmf/x64/OVMF_VARS.fd"),
];

/// A running machine. Dropping it kills it.
pub struct Machine {
    child: Child,
    folder: tempfile::TempDir,
}

impl Machine {
    /// Starts one; `url` is the boot script as the machine sees it, and passed over where it starts from
    /// a medium.
    ///
    /// # Errors
    /// `NotFound` where QEMU or OVMF is missing, with the packages to install.
    pub fn start(o: &Options, firmware: Firmware, memory: u32, url: &str) -> Result<Machine> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("can't make a folder", e))?;
        let args = arguments(o, firmware, memory, url, folder.path())?;
        let said = File::create(folder.path().join("qemu.log"))
            .map_err(|e| Error::io("can't create QEMU's log", e))?;
        let child = Command::new(QEMU)
            .args(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::new(ErrorKind::NotFound, format!("{QEMU} is not installed"))
                        .hint("Debian and Ubuntu: apt install qemu-system-x86 ipxe-qemu ovmf")
                }
                _ => Error::io(format!("can't start {QEMU}"), e),
            })?;
        Ok(Machine { child, folder })
    }

    /// The file that holds what came on port `n`, 1 or 2.
    pub fn port(&self, n: u8) -> PathBuf {
        self.folder.path().join(format!("com{n}"))
    }

    /// How it ended, where it did, with what QEMU itself said.
    ///
    /// # Errors
    /// `Io` where the process can't be asked.
    pub fn ended(&mut self) -> Result<Option<String>> {
        let status = self.child.try_wait().map_err(|e| Error::io("can't wait for QEMU", e))?;
        Ok(status.map(|s| self.last_words(s)))
    }

    fn last_words(&self, status: ExitStatus) -> String {
        let said = std::fs::read(self.folder.path().join("qemu.log")).unwrap_or_default();
        let said = super::console::Cleaner::default().clean(&said);
        match said.trim() {
            "" if status.success() => "it was switched off or reset".to_string(),
            "" => format!("QEMU: {status}"),
            text => format!("QEMU: {status}: {}", text.replace('\n', "; ")),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line, without the program's name.
fn arguments(
    o: &Options,
    firmware: Firmware,
    memory: u32,
    url: &str,
    folder: &Path,
) -> Result<Vec<OsString>> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    // With graphics=off SeaBIOS writes on the first port what it and iPXE write on the screen.
    add(&["-machine", "pc,graphics=off", "-accel", &o.accel, "-cpu", "max,la57=off", "-smp", "2"]);
    add(&["-m", &memory.to_string(), "-display", "none", "-monitor", "none", "-no-reboot"]);
    add(&["-device", "virtio-rng-pci"]);
    for port in ["com1", "com2"] {
        add(&["-serial", &format!("file:{}", option_path(&folder.join(port))?)]);
    }
    if firmware == Firmware::Uefi {
        let (code, vars) = ovmf()?;
        let own = folder.join("vars.fd");
        std::fs::copy(&vars, &own).map_err(|e| {
            Error::io("can't copy the firmware's variables", e).source_name(vars.display())
        })?;
        for (path, read_only) in [(&code, "on"), (&own, "off")] {
            let file = option_path(path)?;
            let flash = format!("if=pflash,format=raw,readonly={read_only},file={file}");
            add(&["-drive", &flash]);
        }
    }
    for i in 0..o.nics.max(1) {
        let boot = if i == 0 && o.start == Start::Network {
            format!(",bootfile={}", option_text(url))
        } else {
            String::new()
        };
        add(&["-netdev", &format!("user,id=n{i}{boot}")]);
        let own = Mac([0x52, 0x54, 0x00, 0x69, 0x77, i + 1]);
        let mac = o.macs.get(usize::from(i)).unwrap_or(&own);
        // Only the first port starts the machine, and none where a medium does; a ROM on the others
        // costs a minute of DHCP.
        let rom = if i == 0 && !o.start.is_medium() { "" } else { ",romfile=" };
        add(&["-device", &format!("{},netdev=n{i},mac={mac}{rom}", o.nic_model)]);
    }
    if o.start.is_medium() {
        let file = option_path(&o.subject)?;
        add(&["-drive", &format!("if=none,id=medium,format=raw,readonly=on,file={file}")]);
        for device in drive(o.start) {
            add(&["-device", device]);
        }
    }
    for (i, disk) in o.disks.iter().enumerate() {
        let file = option_path(disk)?;
        // By default QEMU halts the machine when this machine's disk is full, and says nothing.
        let drive = format!("if=none,id=d{i},format=raw,werror=report,file={file}");
        add(&["-drive", &drive]);
        add(&["-device", &format!("virtio-blk-pci,drive=d{i}")]);
    }
    // A medium has its bootindex; strict: nothing else is tried.
    add(&[
        "-boot",
        match o.start {
            Start::Network => "n",
            Start::Disk => "c",
            Start::Cd | Start::Usb => "strict=on",
        },
    ]);
    Ok(args)
}

/// The devices that a medium is in. A SATA drive and not QEMU's IDE one, which moves each word by hand.
fn drive(start: Start) -> &'static [&'static str] {
    match start {
        Start::Cd => &["ich9-ahci,id=sata", "ide-cd,bus=sata.0,drive=medium,bootindex=0"],
        _ => &["qemu-xhci", "usb-storage,drive=medium,removable=on,bootindex=0"],
    }
}

fn ovmf() -> Result<(PathBuf, PathBuf)> {
    OVMF.iter()
        .map(|(c, v)| (PathBuf::from(c), PathBuf::from(v)))
        .find(|(c, v)| c.is_file() && v.is_file())
        .ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "OVMF, QEMU's UEFI firmware, is not installed")
                .hint("Debian and Ubuntu: apt install ovmf; or prove --firmware bios alone")
        })
}

/// QEMU's options end at a comma; two of them are one.
fn option_text(s: &str) -> String {
    s.replace(',', ",,")
}

fn option_path(p: &Path) -> Result<String> {
    match p.to_str() {
        Some(s) => Ok(option_text(s)),
        None => Err(Error::usage("QEMU takes UTF-8 paths only").source_name(p.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_read_only_and_alone_to_start_from() {
        for (start, device) in [(Start::Cd, "ide-cd,"), (Start::Usb, "usb-storage,")] {
            let mut o = Options::new("a,b.iso");
            o.start = start;
            let args = arguments(&o, Firmware::Bios, 1536, "a,b.iso", Path::new("/t"));
            let args: Vec<String> =
                args.expect("arguments").into_iter().filter_map(|a| a.into_string().ok()).collect();
            let medium = "if=none,id=medium,format=raw,readonly=on,file=a,,b.iso";
            assert!(args.iter().any(|a| a == medium), "{args:?}");
            let from: Vec<&String> = args.iter().filter(|a| a.contains("bootindex=")).collect();
            assert!(matches!(from[..], [one] if one.starts_with(device)), "{args:?}");
            assert!(!args.iter().any(|a| a.contains("bootfile=")), "{args:?}");
            assert!(args.iter().any(|a| a.ends_with(",romfile=")), "{args:?}");
        }
    }

    #[test]
    fn only_the_first_port_is_told_the_boot_script() {
        let mut o = Options::new("x");
        o.nics = 2;
        o.macs = vec![Mac([2, 0, 0, 0, 0, 1])];
        o.disks = vec!["a,b.img".into()];
        let args = arguments(&o, Firmware::Bios, 1536, "http://10.0.2.2:1/a,b", Path::new("/t"));
        let args: Vec<String> =
            args.expect("arguments").into_iter().filter_map(|a| a.into_string().ok()).collect();
        let has = |a: &str| args.iter().any(|x| x == a);
        assert!(has("user,id=n0,bootfile=http://10.0.2.2:1/a,,b"), "{args:?}");
        assert!(has("user,id=n1"));
        assert!(args.iter().any(|a| a.ends_with("netdev=n0,mac=02:00:00:00:00:01")), "{args:?}");
        assert!(args.iter().any(|a| a.ends_with("mac=52:54:00:69:77:02,romfile=")), "{args:?}");
        assert!(has("if=none,id=d0,format=raw,werror=report,file=a,,b.img"));
    }
}
