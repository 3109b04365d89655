//! Media known by their labels alone: real ones of every vendor, ones that nobody has made yet, and
//! look-alikes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::media::identity::VolumeLabels;
use isowright::media::labels::{Confidence, Labels, Reading};
use isowright::recipe::{bundled, label::labels};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// A row of the table of real media.
struct Row<'t> {
    os: &'t str,
    release: &'t str,
    file: &'t str,
    volume_id: &'t str,
}

fn run(args: &[&str], input: &[u8]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = c.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    // It may have gone away before it had read all.
    let _ = feed.join().unwrap();
    out
}

/// What `recipe match --tsv -` says, an object per row.
fn matched(table: &[u8]) -> Vec<Value> {
    let o = run(&["recipe", "match", "--tsv", "-"], table);
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    let text = String::from_utf8(o.stdout).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The recipe for a medium, by its system, release and file name; `None` where there is none.
fn wanted(row: &Row) -> Option<&'static str> {
    let file = row.file.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| file.contains(w));
    let live = |yes, no| if has(&["live"]) { yes } else { no };
    let desktops = ["workstation", "kde", "xfce", "mate", "cinnamon", "gnome"];
    Some(match row.os {
        "almalinux" => live("almalinux-live", "almalinux"),
        "alpinelinux" => "alpine",
        "archlinux" => "arch",
        "centos" if has(&["live"]) => "centos-live",
        "centos" if row.release.contains("stream") => "centos-stream",
        "centos" => "centos",
        "debian" => live("debian-live", "debian"),
        "fedora" => live("fedora-live", "fedora"),
        "gentoo" => "gentoo",
        "nixos" => "nixos",
        "ol" => "oracle",
        "opensuse" if row.release.contains("microos") => return None,
        "opensuse" if has(&["live", "rescue"]) => "opensuse-live",
        "opensuse" if row.release.contains("tumbleweed") => "opensuse-tumbleweed",
        "opensuse" if version(row) == [16] => "opensuse-leap-16",
        "opensuse" => "opensuse-leap",
        "rhel" => "rhel",
        "rocky" if has(&desktops) => "rocky-live",
        "rocky" => "rocky",
        "sle" | "sles" if version(row) == [16] => "sles-16",
        "sle" | "sles" => "sles",
        "ubuntu" if has(&["live-server"]) => "ubuntu-server",
        "ubuntu" if has(&["server", "alternate", "install"]) => "ubuntu-legacy",
        "ubuntu" => "ubuntu-desktop",
        _ => return None,
    })
}

/// How the names of a system's recipes begin.
fn family_name(os: &str) -> &str {
    match os {
        "ol" => "oracle",
        "sle" => "sles",
        "alpinelinux" => "alpine",
        "archlinux" => "arch",
        other => other,
    }
}

/// The numbers in front of a release that make its major version: `[22, 4]` of ubuntu22.04.
fn version(row: &Row) -> Vec<u32> {
    let numbers = row.release.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    let how_many = if matches!(row.os, "ubuntu" | "alpinelinux" | "nixos") { 2 } else { 1 };
    numbers.take(how_many).map(|n| n.parse().unwrap()).collect()
}

fn leading(text: &str, how_many: usize) -> Vec<u32> {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    numbers.take(how_many).map(|n| n.parse().unwrap()).collect()
}

#[test]
fn real_media_get_the_right_recipe_or_none() {
    let Some(path) = support::media_labels() else {
        return support::skip("no media-labels.tsv beside the checkout");
    };
    let table = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| head.iter().position(|h| *h == name).unwrap();
    // Only what a header has, in an order of our own.
    let fields = ["application_id", "volume_id", "data_preparer_id", "publisher_id", "system_id"];
    let mut input = fields.join("\t") + "\n";
    let mut rows = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |name: &str| cells.get(column(name)).copied().unwrap_or_default();
        input.push_str(&(fields.map(cell).join("\t") + "\n"));
        let [os, release, file, volume_id] = ["os", "release", "file", "volume_id"].map(cell);
        rows.push(Row { os, release, file, volume_id });
    }
    let found = matched(input.as_bytes());
    assert_eq!(found.len(), rows.len());
    let (mut known, mut right, mut exact, mut dated, mut right_version) = (0, 0, 0, 0, 0);
    let (mut wrong, mut misses) = (Vec::new(), Vec::new());
    for (row, said) in rows.iter().zip(&found) {
        let told = format!("{} {} \"{}\"", row.release, row.file, row.volume_id);
        let (want, got) = (wanted(row), said["recipe"].as_str());
        known += usize::from(want.is_some());
        let or = said["or"].as_array().unwrap();
        let names = got.into_iter().chain(or.iter().filter_map(Value::as_str));
        wrong.extend(
            names.filter(|n| !n.starts_with(family_name(row.os))).map(|n| format!("{told}: {n}")),
        );
        match (want, got) {
            (None, None) => continue,
            (Some(_), None) => {
                misses.push(format!("unknown: {told}"));
                continue;
            }
            (Some(w), Some(g)) if w == g => exact += 1,
            (Some(w), Some(_)) if or.iter().any(|o| o == w) => {}
            (w, Some(g)) => {
                wrong.push(format!("{told}: {g}, not {w:?}"));
                continue;
            }
        }
        right += 1;
        let want = version(row);
        if want.is_empty() {
            continue;
        }
        dated += 1;
        let got = said["version"].as_str().unwrap_or_default();
        if leading(got, want.len()) == want {
            right_version += 1;
        } else {
            misses.push(format!("version \"{got}\": {told}"));
        }
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
    println!("{}", misses.join("\n"));
    println!(
        "{} media, {known} of systems with a recipe: {right} right ({:.2} %, {exact} of them without \
         another that has the same label), {} wrong; major version right on {right_version} of {dated} \
         ({:.2} %)",
        rows.len(),
        percent(right, known),
        wrong.len(),
        percent(right_version, dated)
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(known > 1000 && percent(right, known) >= 97.0);
    // Of all, not only of those that were found.
    assert!(percent(right_version, known - (right - dated)) >= 90.0);
}

static LABELS: LazyLock<Labels> = LazyLock::new(|| labels(&bundled().unwrap()).unwrap());

/// What a volume id alone says.
fn read(volume_id: &str) -> Option<Reading> {
    let volume = VolumeLabels { volume_id: volume_id.to_owned(), ..VolumeLabels::default() };
    LABELS.read(&volume).ok()
}

#[test]
fn labels_of_media_to_come_and_of_rarer_ones_are_known() {
    for (volume_id, recipe, version, arch) in [
        ("AlmaLinux-8-4-beta-1-x86_64-dvd", "almalinux", "8.4", "x86_64"),
        ("AlmaLinux-10_2-x86_64-Live-KDE", "almalinux-live", "10.2", "x86_64"),
        ("AlmaLinux-Kitten-10-x86_64-Live-", "almalinux-live", "10", "x86_64"),
        ("AlmaLinux-10-1-aarch64-Live-GNOM", "almalinux-live", "10.1", "aarch64"),
        ("Rocky-8-4-beta-x86_64-dvd", "rocky", "8.4", "x86_64"),
        ("Rocky-8-10-aarch64-dvd", "rocky", "8.10", "aarch64"),
        ("Rocky-10-1-ppc64le-dvd", "rocky", "10.1", "ppc64le"),
        ("Rocky-8-5-Workstation", "rocky-live", "8.5", ""),
        ("Rocky-10-2-Cinnamon", "rocky-live", "10.2", ""),
        ("CentOS-6.9-x86_64-LiveDVD", "centos-live", "6.9", "x86_64"),
        ("CentOS-7-x86_64-LiveKDE-2009", "centos-live", "7", "x86_64"),
        ("RHEL-10-3-BaseOS-x86_64", "rhel", "10.3", "x86_64"),
        ("RHEL-9-8-0-BaseOS-aarch64", "rhel", "9.8", "aarch64"),
        ("Fedora-S-dvd-aarch64-44", "fedora", "44", "aarch64"),
        ("Fedora-E-dvd-s390x-44", "fedora", "44", "s390x"),
        ("Fedora-WS-Live-44", "fedora-live", "44", ""),
        ("Fedora-WS-Live-44-B-1-2", "fedora-live", "44", ""),
        ("Debian 14.0.0 amd64 1", "debian", "14.0.0", "x86_64"),
        ("Debian 12.13.0 i386 n", "debian", "12.13.0", "i386"),
        ("Ubuntu 26.04 LTS amd64", "ubuntu-desktop", "26.04", "x86_64"),
        ("Ubuntu-Server 25.10 arm64", "ubuntu-server", "25.10", "aarch64"),
        ("Install-Leap-16.1-x86_64", "opensuse-leap-16", "16.1", "x86_64"),
        ("openSUSE_Leap_15.6_Rescue_CD", "opensuse-live", "15.6", ""),
        ("openSUSE_Tumbleweed_XFCE_Live", "opensuse-live", "", ""),
        ("AlmaLinux-11-0-x86_64-dvd", "almalinux", "11.0", "x86_64"),
        ("AlmaLinux-10-1-x86_64_v2-dvd", "almalinux", "10.1", "x86_64"),
        ("AlmaLinux_11_2_ppc64le_dvd", "almalinux", "11.2", "ppc64le"),
        ("AlmaLinux-Kitten-11-riscv64", "almalinux", "11", "riscv64"),
        ("AlmaLinux-11-0-x86_64-Live-COSM", "almalinux-live", "11.0", "x86_64"),
        ("Rocky-10-2-riscv64-dvd", "rocky", "10.2", "riscv64"),
        ("Rocky-10-1-Workstation-Lite", "rocky-live", "10.1", ""),
        ("RHEL-11-0-0-BaseOS-s390x", "rhel", "11.0", "s390x"),
        ("RHEL-7.9 Workstation.x86_64", "rhel", "7.9", "x86_64"),
        ("RHEL/4-U8 i386 DVD", "rhel", "4", "i386"),
        ("RHEL_9_4_0_BaseOS_ppc64le", "rhel", "9.4", "ppc64le"),
        ("RHELSA-7.1 Server.aarch64", "rhel", "7.1", "aarch64"),
        ("CentOS-7-x86_64-GNOME-1611", "centos-live", "7", "x86_64"),
        ("CentOS-Stream-11-BaseOS-x86_64", "centos-stream", "11", "x86_64"),
        ("CentOS_5.11_Final", "centos", "5.11", ""),
        ("CentOS-8-5-2111-aarch64-dvd", "centos", "8.5", "aarch64"),
        ("OL-10-1-0-BaseOS-aarch64", "oracle", "10.1", "aarch64"),
        ("Oracle-Linux-8-0-aarch64", "oracle", "8.0", "aarch64"),
        ("FC/6 i386 DVD", "fedora", "6", "i386"),
        ("F10-x86_64-Live-KDE", "fedora-live", "10", "x86_64"),
        ("Fedora-S-dvd-x86_64-45", "fedora", "45", "x86_64"),
        ("Fedora-E-dvd-riscv64-46", "fedora", "46", "riscv64"),
        ("Fedora-ELN-BaseOS-x86_64", "fedora", "eln", "x86_64"),
        ("Fedora-SB-ostree-aarch64-45", "fedora", "45", "aarch64"),
        ("Fedora-S-dvd-x86_64-rawh", "fedora", "", "x86_64"),
        ("Fedora-KDE-Live-45", "fedora-live", "45", ""),
        ("Fedora-COSMIC-Live-x86_64-45-1-3", "fedora-live", "45", "x86_64"),
        ("Fedora-Design_suite-Live-x86_64-", "fedora-live", "", "x86_64"),
        ("Fedora-Scientific_KDE-Live-x86_6", "fedora-live", "", ""),
        ("Fedora-Games_suite-Live-x86_64-4", "fedora-live", "", "x86_64"),
        ("Fedora-i3-Live-45-1-3", "fedora-live", "45", ""),
        ("fedora-coreos-44.20260510.3.1", "fedora-coreos", "44", ""),
        ("rhcos-418.94.202502100215-0", "rhcos", "4.18", ""),
        ("rhcos-47.83.202103251640-0", "rhcos", "4.7", ""),
        ("rhcos-9.8.20260523-0", "rhcos", "9.8", ""),
        ("scos-419.9.202502051234-0", "rhcos", "4.19", ""),
        ("scos-10.0.20260523-0", "rhcos", "10.0", ""),
        ("scos-9.0.20250510-0", "rhcos", "9.0", ""),
        ("Debian 14.1.0 riscv64 n", "debian", "14.1.0", "riscv64"),
        ("Debian 13.2.0 p64el 1", "debian", "13.2.0", "ppc64le"),
        ("Debian 4.0 r9 i386 Bin-1", "debian", "4.0", "i386"),
        ("Debian forky-DI-a1 amd64 n", "debian", "", "x86_64"),
        ("d-live 14.0.0 kd arm64", "debian-live", "14.0.0", "aarch64"),
        ("Devuan 6.0.0 arm64 netinstall", "devuan", "6.0.0", "aarch64"),
        ("Ubuntu-Server 26.04.1 LTS amd64", "ubuntu-server", "26.04.1", "x86_64"),
        ("Ubuntu-Server 28.04 LTS ppc64", "ubuntu-server", "28.04", "ppc64le"),
        ("Ubuntu-Server 18.04.6 LTS amd64", "ubuntu-server", "18.04.6", "x86_64"),
        ("Ubuntu-Server 16.04.7 LTS s390x", "ubuntu-legacy", "16.04.7", "s390x"),
        ("Ubuntu 26.10 arm64", "ubuntu-desktop", "26.10", "aarch64"),
        ("Ubuntu-Studio 26.04 LTS amd64", "ubuntu-desktop", "26.04", "x86_64"),
        ("Ubuntu-Cinnamon 26.04.1 LTS amd6", "ubuntu-desktop", "26.04.1", ""),
        ("Xubuntu 26.04 LTS amd64", "ubuntu-desktop", "26.04", "x86_64"),
        ("openSUSE-Leap-15.6-DVD-aarch6471", "opensuse-leap", "15.6", "aarch64"),
        ("openSUSE-Leap-42.1-DVD-x86_64026", "opensuse-leap", "42.1", "x86_64"),
        ("openSUSE_13.2_GNOME_Live", "opensuse-live", "13.2", ""),
        ("openSUSE-Tumbleweed-NET-aarch644", "opensuse-tumbleweed", "", "aarch64"),
        ("Install-Leap-16.2-aarch64", "opensuse-leap-16", "16.2", "aarch64"),
        ("Install-SUSE-SLE-17-x86_64", "sles-16", "17", "x86_64"),
        ("SLE-15-SP8-Online-x86_6412.1.001", "sles", "15-SP8", "x86_64"),
        ("alpine-std 3.24.1 loongarch64", "alpine", "3.24.1", "loongarch64"),
        ("alpine-virt 4.0.0_rc1 x86_64", "alpine", "4.0.0", "x86_64"),
        ("alpine-std 20260401 aarch64", "alpine", "edge", "aarch64"),
        ("ARCH_202701", "arch", "", ""),
        ("RESCUE1203", "systemrescue", "12.03", ""),
        ("nixos-minimal-27.05-riscv64", "nixos", "27.05", "riscv64"),
        ("Gentoo-arm64-20270103", "gentoo", "", "aarch64"),
        ("TALOS_V1_12_0", "talos", "1.12.0", ""),
        ("TALOS_SB_V1_12_0_ALPHA_1", "talos", "1.12.0", ""),
        ("VyOS", "vyos", "", ""),
        ("PVE", "proxmox-ve", "", ""),
    ] {
        let r = read(volume_id).unwrap_or_else(|| panic!("{volume_id} is unknown"));
        let got = (r.recipe.as_str(), r.version.as_deref(), r.arch.as_deref());
        let some = |s: &'static str| (!s.is_empty()).then_some(s);
        assert_eq!(got, (recipe, some(version), some(arch)), "{volume_id}");
        assert!(volume_id.len() <= 32, "{volume_id} is longer than a volume id can be");
    }
}

#[test]
fn look_alikes_and_strangers_stay_unknown() {
    for volume_id in [
        "",
        "CDROM",
        "ISOIMAGE",
        "Linux Mint 22.1 Cinnamon 64-bit",
        "LMDE 6 Cinnamon 64-bit",
        "elementary OS 8.0 Circe",
        "Pop_OS 24.04 amd64 Nvidia",
        "Zorin OS 17.2 Core 64-bit",
        "trisquel 11.0 amd64",
        "neon user 20260101-0000",
        "Kali Linux amd64 n",
        "Debian-Edu 13.0.0 amd64 n",
        "My Debian 12.5.0 amd64 n",
        "Debian 12.5.0 amd64n",
        "PureOS 10.3 gnome (live)",
        "UCS 5.2-0 amd64 1",
        "Pardus 23.0 amd64 n",
        "EL-9-4-x86_64-20240610-dvd",
        "EuroLinux-9-x86_64-dvd",
        "Circle-8-4-x86_64-dvd",
        "anolis-23-x86_64-dvd",
        "Asianux-Server-8-x86_64",
        "openEuler-24.03-LTS-x86_64",
        "MIRACLE-LINUX-9-4-x86_64-dvd",
        "Navy-8-6-x86_64-dvd",
        "Springdale-9-x86_64",
        "SL-7-9-x86_64-dvd",
        "SL 7.9 x86_64",
        "Scientific Linux 6.10 x86_64",
        "OEL-5.11 x86_64 DVD",
        "Enterprise-R5-U11-Server-x86_64",
        "OLVM-4.5-x86_64",
        "CloudLinux-9-4-x86_64-dvd",
        "VzLinux-9-x86_64-dvd",
        "Amazon-Linux-2023-x86_64",
        "RED-OS-8.0-x86_64",
        "ROSA-Fresh-12-x86_64",
        "RHGS-3.5 RHEL-7.9 x86_64",
        "CentOS-Atomic-Host-7-Installer",
        "AlmaLinux-Cloud-9-x86_64",
        "Fedora-Asahi-Remix-42",
        "Ultramarine-Live-43",
        "risiOS-Live-42",
        "Silverblue-43",
        "RHVH-4.4-20220504.0-RHVH-x86_64",
        "XCP-ng 8.3.0",
        // A Desktop before 15: another product than the server's.
        "SLED-11-SP4-DVD-x86_6412211",
        "SLE-12-SP5-Desktop-DVD-x86_64029",
        "SLE-Micro-5.5-DVD-x86_6427.2.001",
        "SLE-15-SP1-Packages-x86_64.001",
        "SUSE-MicroOS-5.2-DVD-x86_649.001",
        "SUSE-CaaS-Platform-3.0-DVD-x86_6",
        "openSUSE-MicroOS-DVD-x86_64",
        "openSUSE-Leap-Micro-5.5-DVD",
        "Install-Leap-Micro-6.2-x86_64",
        "MANJARO_KDE_2600",
        "MANJARO_GNOME_2610",
        "EOS_202601",
        "ENDEAVOUROS_202601",
        "CACHYOS_202601",
        "BLACKARCH_202601",
        "ARCOLINUX_202601",
        "GARUDA_DR460NIZED",
        "ARCHLABS_202601",
        "ARTIX_202601",
        "VOID_LIVE",
        "COS_LIVE",
        "PBS",
        "PMG",
        "ESXI-8.0U3-24022510-STANDARD",
        "CCCOMA_X64FRE_EN-US_DV9",
        "14_3_RELEASE_AMD64_DVD",
        "OpenBSD/amd64   7.9 Install CD",
        "NETBSD_101",
        "Mageia-9-x86_64",
        "Mageia-9-Live-Plasma-x86_64",
        "Mandriva-2011-x86_64",
        "OpenMandriva.6.0.x86_64",
        "ALT p11 Workstation x86_64",
        "ALT Linux 11.0 Simply",
        "Debian-Installer-Deepin 25",
        "deepin 25",
        "Parrot security 6.4",
        "kali-linux-2026.1-live-amd64",
        "Tails 7.4 - 20260101",
        "Raspberry Pi Desktop",
        "MX-25_x64",
        "antiX-26_x64-full",
        "Proxmox Backup Server 4.1",
        "PDM",
        "XenServer 8",
        "XCP-NG_83",
        "ESXI-9.0.1.0-24957456-STANDARD",
        "SSS_X64FREE_EN-US_DV5",
        "CPBA_X64FRE_EN-US_DV9",
        "15_0_RELEASE_AMD64_CD",
        "15_0_RELEASE_ARM64_DVD",
        "DragonFly v6.4.2",
        "OPNSENSE_INSTALL",
        "PFSENSE",
        "TRUENAS",
        "KAIROS_LIVE",
        "Whonix",
        "Univention 5.2",
        "Clonezilla-live 3.3.0-33-amd64",
        "GParted-live",
        "SystemRescueCd",
        "TALOSX",
        "VyOS-custom build",
        "AlmaLinux",
        "Rocky",
        "openSUSE",
        "Debian",
        "Endless-OS-6-0-0-en",
        "ALT Server 11.0 x86_64",
        "Qubes-R4-3-0-x86_64",
        "nobara-43-official",
        "bazzite-stable-amd64",
        "slackware 15.0",
        "Ubuntu",
        "Fedora",
        "RHEL",
    ] {
        assert_eq!(read(volume_id).map(|r| r.recipe), None, "{volume_id}");
    }
}

#[test]
fn the_other_fields_confirm_contradict_or_tell_what_the_volume_id_does_not() {
    let read = |volume_id: &str, publisher: &str, application: &str| {
        LABELS.read(&VolumeLabels {
            volume_id: volume_id.into(),
            publisher: publisher.into(),
            application: application.into(),
            ..VolumeLabels::default()
        })
    };
    let arch = |publisher| read("ARCH_202701", publisher, "").map(|r| r.confidence);
    assert_eq!(arch("ARCH LINUX <HTTPS://ARCHLINUX.ORG>"), Ok(Confidence::High));
    assert_eq!(arch(""), Ok(Confidence::Medium));
    assert!(arch("ACME INC").is_err());
    let core = read("FEDORA", "", "FC/6 ppc").unwrap();
    assert_eq!((core.recipe.as_str(), core.version.as_deref()), ("fedora", Some("6")));
    assert!(read("FEDORA", "", "").is_err());
    let sles = read("Install-SUSE-SLE-16-x86_64", "SUSE LLC", "SLES-16.1-Full-x86_64-Build9.1");
    assert_eq!(sles.unwrap().version.as_deref(), Some("16.1"));
    let old = read("Ubuntu 8.04.1 amd64", "", "").unwrap();
    assert_eq!((old.confidence, &old.or[..]), (Confidence::Low, &["ubuntu-legacy".to_owned()][..]));
}

#[test]
fn a_table_may_be_short_junk_and_in_any_order() {
    let rows = matched(b"\xef\xbb\xbfos\tvolume_id\tblocks\r\nx\tRocky-9-4-x86_64-dvd\t7\r\ny\r\n\n\xff\x00\t\xfe\x1b[2J\t");
    let recipes: Vec<_> = rows.iter().map(|r| r["recipe"].as_str()).collect();
    assert_eq!(recipes, [Some("rocky"), None, None, None]);
    assert_eq!(rows.iter().map(|r| r["line"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3, 4, 5]);
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(rows.iter().all(|r| keys(r) == keys(&rows[0])));
    assert_eq!(matched(b"volume_id\n"), [Value::Null; 0]);
    let quoted = b"\"application_id\"\t\"volume_id\"\r\n\"\"\t\"Rocky-9-4-x86_64-dvd\"\r\n";
    assert_eq!(matched(quoted)[0]["recipe"], "rocky");
    for (table, words) in [
        (&b"os\trelease\nx\ty\n"[..], "-:1: the first line names no column volume_id"),
        (&b""[..], "-:1: the first line names no column volume_id"),
        (&vec![b'x'; 2 << 20], "-:1: the line is over 1 MiB"),
    ] {
        let o = run(&["recipe", "match", "--tsv", "-"], table);
        let err = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(2), "{err}");
        assert!(err.contains(words), "{err}");
    }
}

#[test]
fn a_row_that_is_too_long_is_told_and_the_others_are_read() {
    let long = |end: &[u8]| [&vec![b'x'; 3 << 20][..], end].concat();
    let just = [&b"volume_id\nPVE\n"[..], &vec![b'x'; 1 << 20], b"\nPVE\n"].concat();
    for (table, bad) in [
        ([&b"volume_id\nPVE\n"[..], &long(b"\n"), b"PVE\n"].concat(), 3),
        ([&b"volume_id\nPVE\nPVE\n"[..], &long(b"")].concat(), 4),
        (just, 3),
    ] {
        let o = run(&["recipe", "match", "--tsv", "-"], &table);
        let err = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!((o.status.code(), err), (Some(1), format!("-:{bad}: the line is over 1 MiB\n")));
        let rows: Vec<Value> = String::from_utf8(o.stdout)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        for (at, row) in rows.iter().enumerate() {
            let known = row["recipe"].as_str();
            assert_eq!(
                (row["line"].as_u64(), known.is_none()),
                (Some(at as u64 + 2), at + 2 == bad)
            );
        }
        assert_eq!(rows.len(), 3);
    }
}

#[test]
fn one_medium_is_told_in_words_and_by_the_exit_code() {
    let say = |args: &[&str]| {
        let o = run(&[&["recipe", "match"], args].concat(), b"");
        (String::from_utf8(o.stdout).unwrap(), o.status.code())
    };
    let (text, code) = say(&["--volume-id", "Rocky-9-4-x86_64-dvd"]);
    assert_eq!((text.lines().next(), code), (Some("rocky"), Some(0)), "{text}");
    assert!(text.contains("version    9.4") && text.contains("confidence medium"), "{text}");
    for (system, recipe) in [("LINUX", "rocky"), ("PPC", "rocky"), ("FreeBSD", "unknown:")] {
        let (text, code) = say(&["--volume-id", "Rocky-9-4-x86_64-dvd", "--system-id", system]);
        assert_eq!(text.split_whitespace().next(), Some(recipe), "{text}");
        assert_eq!(
            (code, text.contains(system)),
            (Some(i32::from(system == "FreeBSD")), code == Some(1))
        );
    }
    let (text, code) = say(&["--volume-id", "CDROM\u{1b}[2J"]);
    assert_eq!((text.contains("\u{1b}"), code), (false, Some(1)), "{text}");
    assert!(text.starts_with("unknown: "), "{text}");
    let (text, code) = say(&["--json", "--volume-id", "CDROM"]);
    let v: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&v["recipe"], code), (&Value::Null, Some(1)));
    assert_eq!(say(&[]).1, Some(2));
}

/// A folder's recipe counts, and stands in for ours of the same name, labels and all.
#[test]
fn a_recipe_of_ones_own_brings_its_labels() {
    let dir = tempfile::tempdir().unwrap();
    let head = "family = \"generic\"\nproven = \"documentation\"\n[[match]]\nfiles = [\"a\"]\n";
    let label = |id: &str| format!("[[label]]\nvolume_id = '{id}'\ndistro = \"Acme\"\n");
    let write = |name: &str, id: &str| {
        let text = format!("name = \"{name}\"\ntitle = \"X\"\n{head}{}", label(id));
        std::fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
    };
    write("acme", r"ACME-(?<version>\d+)-{arch}");
    write("rocky", r"STONY-(?<version>\d+)");
    let folder = dir.path().to_str().unwrap();
    for (id, recipe) in [
        ("ACME-7-arm64", "acme"),
        ("STONY-9", "rocky"),
        ("Rocky-9-4-x86_64-dvd", "unknown:"),
        ("AlmaLinux-9-4-x86_64-dvd", "almalinux"),
    ] {
        let o = run(&["recipe", "match", "--recipes", folder, "--volume-id", id], b"");
        let text = String::from_utf8(o.stdout).unwrap();
        assert_eq!(text.split_whitespace().next(), Some(recipe), "{id}: {text}");
    }
    write("bad", r"AlmaLinux-9-\d+-.*");
    for (name, code, words) in [
        ("acme", 0, "nothing to complain about"),
        ("bad", 1, "bad.toml:8: error: labels of this shape can be recipe \"almalinux"),
    ] {
        let file = format!("{folder}/{name}.toml");
        let o = run(&["recipe", "lint", &file], b"");
        let text = String::from_utf8(o.stdout).unwrap();
        assert!(o.status.code() == Some(code) && text.contains(words), "{text}");
    }
}
