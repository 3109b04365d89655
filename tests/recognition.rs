//! Every fixture is known for what it is, and gets its own recipe; labels never make a vendor up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::tree::Tree;
use isowright::family::draft::{Draft, Hosted};
use isowright::media::identity::{Identity, VolumeLabels, identify};
use isowright::model::profile::Profile;
use isowright::recipe::label::labels;
use isowright::recipe::{bundled, select::select};
use support::{fixture, fixtures};

fn known(tree: &Tree, volume_id: &str) -> Identity {
    let volume = VolumeLabels { volume_id: volume_id.to_owned(), ..VolumeLabels::default() };
    identify(tree, &volume, &labels(&bundled().expect("recipes")).expect("labels"))
}

/// Fixture, distribution, version, variant, recipe.
const WANTED: &[(&str, &str, &str, &str, &str)] = &[
    ("almalinux-10-dvd", "AlmaLinux", "10.0", "dvd", "almalinux"),
    ("almalinux-9-dvd", "AlmaLinux", "9.4", "dvd", "almalinux"),
    ("almalinux-live-9", "AlmaLinux", "9.4", "live", "almalinux-live"),
    ("alpine-3.20", "Alpine Linux", "3.20.3", "standard", "alpine"),
    ("arch-202402", "Arch Linux", "2024.02.01", "", "arch"),
    ("centos-7-dvd", "CentOS", "7.9", "dvd", "centos"),
    ("centos-stream-9-dvd", "CentOS Stream", "9", "dvd", "centos-stream"),
    ("debian-12-dvd", "Debian GNU/Linux", "12.5.0", "dvd", "debian"),
    ("debian-12-netinst", "Debian GNU/Linux", "12.5.0", "netinst", "debian"),
    ("debian-live-12", "Debian GNU/Linux", "12.5.0", "live", "debian-live"),
    ("devuan-5-netinst", "Devuan GNU/Linux", "5.0.0", "netinst", "devuan"),
    ("fedora-40-server", "Fedora", "40", "dvd", "fedora"),
    ("fedora-coreos-40", "Fedora CoreOS", "40.20240416.3.1", "", "fedora-coreos"),
    ("fedora-live-40", "Fedora", "40", "live", "fedora-live"),
    ("fedora-live-42", "Fedora", "42", "live", "fedora-live"),
    ("flatcar", "Flatcar Container Linux", "", "", "flatcar"),
    ("generic-linux", "", "", "", "generic"),
    ("gentoo-2023", "Gentoo", "", "", "gentoo"),
    ("gentoo-2026", "Gentoo", "", "", "gentoo"),
    ("harvester-1.3", "Harvester", "1.3.1", "", "harvester"),
    ("nixos-24.05", "NixOS", "24.05.1503.752c634c09ce", "", "nixos"),
    ("openshift-agent", "Customized CoreOS", "4.17", "", "openshift-agent"),
    ("opensuse-leap-15.6-dvd", "openSUSE Leap", "15.6", "dvd", "opensuse-leap"),
    ("opensuse-leap-15.6-net", "openSUSE Leap", "15.6", "net", "opensuse-leap"),
    ("opensuse-leap-16-agama", "openSUSE Leap", "16.0", "live", "opensuse-leap-16"),
    ("opensuse-tumbleweed-dvd", "openSUSE Tumbleweed", "20240118", "dvd", "opensuse-tumbleweed"),
    ("oracle-8-dvd", "Oracle Linux", "8.9", "dvd", "oracle"),
    ("proxmox-ve-8", "Proxmox VE", "8.4-1", "", "proxmox-ve"),
    ("rhcos-4.16", "Red Hat Enterprise Linux CoreOS", "4.16", "", "rhcos"),
    ("rhel-8-dvd", "Red Hat Enterprise Linux", "8.10.0", "dvd", "rhel"),
    ("rocky-9-boot", "Rocky Linux", "9.4", "boot", "rocky"),
    ("rocky-9-minimal", "Rocky Linux", "9.4", "minimal", "rocky"),
    ("sles-15-sp6-full", "SUSE Linux Enterprise Server", "15.6", "", "sles"),
    ("sles-16-full", "SUSE Linux Enterprise", "16", "live", "sles-16"),
    ("systemrescue-11", "SystemRescue", "11.00", "", "systemrescue"),
    ("talos-1.7", "Talos", "1.7.6", "", "talos"),
    ("truenas-24.10", "TrueNAS SCALE", "", "live", "truenas-scale"),
    ("ubuntu-18.04-server", "Ubuntu-Server", "18.04.6", "", "ubuntu-legacy"),
    ("ubuntu-20.04-live-server", "Ubuntu-Server", "20.04.6", "live", "ubuntu-server"),
    ("ubuntu-22.04-live-server", "Ubuntu-Server", "22.04.4", "live", "ubuntu-server"),
    ("ubuntu-24.04-desktop", "Ubuntu", "24.04.1", "live", "ubuntu-desktop"),
    ("ubuntu-24.04-live-server", "Ubuntu-Server", "24.04.1", "live", "ubuntu-server"),
    ("vyos-1.5", "VyOS", "2026.02.03-0025-rolling", "live", "vyos"),
];

#[test]
fn every_fixture_gets_its_recipe() {
    let mut names: Vec<&str> = WANTED.iter().map(|w| w.0).collect();
    names.sort_unstable();
    let mut listed = fixtures();
    listed.sort_unstable();
    assert_eq!(names, listed, "fixtures/INDEX and this list differ");
    let recipes = bundled().expect("recipes");
    for (name, distro, version, variant, recipe) in WANTED.iter().copied() {
        let (tree, volume_id) = fixture(name);
        let id = known(&tree, &volume_id);
        let value = |f: &Option<isowright::media::identity::Fact<String>>| {
            f.as_ref().map_or(String::new(), |f| f.value.clone())
        };
        assert_eq!(
            (value(&id.distro), value(&id.version), value(&id.variant)),
            (distro.into(), version.into(), variant.into()),
            "{name}: {id:?}"
        );
        let s = select(&recipes, &id, &tree, true).expect(name);
        assert_eq!(s.recipe.name, recipe, "{name}: {:?}", s.evidence);
        assert!(!s.evidence.is_empty());
        // These have only their label to speak for them.
        let by_label = [
            "almalinux-live-9",
            "fedora-live-42",
            "generic-linux",
            "opensuse-leap-16-agama",
            "sles-16-full",
            "talos-1.7",
        ];
        assert_eq!(s.assumed, by_label.contains(&name), "{name}");
        let files = s.recipe.boot_files(&tree);
        // Of those that need a pair from elsewhere, Ubuntu's server medium brings one itself.
        let wanted = s.recipe.netboot.is_none() || name == "ubuntu-18.04-server";
        assert_eq!(files.is_some(), wanted, "{name}: {files:?}");
    }
}

#[test]
fn a_medium_that_says_nothing_is_known_by_its_label_and_that_is_told() {
    let (mut tree, volume_id) = fixture("rocky-9-boot");
    for marker in [".treeinfo", ".discinfo"] {
        tree.remove(&marker.parse().expect("path"));
    }
    let id = known(&tree, &volume_id);
    let distro = id.distro.clone().expect("distro");
    assert!(distro.assumed && distro.evidence.contains("Rocky-9-4-x86_64-dvd"), "{distro:?}");
    let recipes = bundled().expect("recipes");
    let s = select(&recipes, &id, &tree, true).expect("selects");
    assert_eq!((s.recipe.name.as_str(), s.assumed), ("rocky", true));
}

#[test]
fn a_medium_with_a_signed_image_only_asks_for_another_kernel() {
    let tree: Tree = [("efiboot.img", "x")]
        .into_iter()
        .map(|(p, t)| (p.parse().expect("path"), isowright::content::tree::Node::file(t)))
        .collect();
    let id = known(&tree, "TALOS_V1_9_0");
    let recipes = bundled().expect("recipes");
    let recipe = select(&recipes, &id, &tree, false).expect("selects").recipe;
    assert_eq!(recipe.name, "talos-uki");
    let ask = recipe.netboot.as_ref().expect("netboot").ask(&id);
    assert!(ask.contains("siderolabs/talos/releases"), "{ask}");
}

#[test]
fn a_wrong_label_does_not_outweigh_the_mediums_own_word() {
    let (tree, _) = fixture("rocky-9-boot");
    let id = known(&tree, "AlmaLinux-8-3-x86_64-dvd");
    assert_eq!(id.distro.as_ref().expect("distro").value, "Rocky Linux");
    assert_eq!(id.version.as_ref().expect("version").value, "9.4");
}

#[test]
fn families_speak_for_every_fixture() {
    let metal = Profile::metal().expect("metal");
    let recipes = bundled().expect("recipes");
    let only =
        |paths: &[&str]| Hosted::only(paths.iter().map(|p| p.parse().expect("path")).collect());
    for name in fixtures() {
        let (tree, volume_id) = fixture(&name);
        let id = known(&tree, &volume_id);
        let recipe = select(&recipes, &id, &tree, true).expect("selects").recipe;
        let mut facts = recipe.facts(&id, &tree, 0);
        let mut draft = Draft::default();
        recipe.family.say(&facts, &metal, &mut draft).expect(&name);
        let hosted = match name.as_str() {
            n if n.starts_with("debian-1") || n.starts_with("devuan") => Hosted::default(),
            "generic-linux" | "opensuse-leap-15.6-net" | "ubuntu-18.04-server" => Hosted::default(),
            n if n.starts_with("ubuntu-") => Hosted::medium(),
            "flatcar" | "talos-1.7" | "proxmox-ve-8" => Hosted::default(),
            "fedora-coreos-40" | "rhcos-4.16" | "openshift-agent" => {
                Hosted::only(vec!["images/pxeboot/rootfs.img".parse().expect("path")])
            }
            "harvester-1.3" => Hosted {
                medium: true,
                ..Hosted::only(vec!["rootfs.squashfs".parse().expect("path")])
            },
            "gentoo-2023" | "gentoo-2026" | "nixos-24.05" => Hosted::default(),
            "debian-live-12" | "vyos-1.5" => only(&["live/filesystem.squashfs"]),
            "almalinux-live-9" | "fedora-live-40" | "fedora-live-42" | "opensuse-leap-16-agama" => {
                only(&["LiveOS/squashfs.img"])
            }
            "alpine-3.20" => only(&[
                "apks/x86_64/APKINDEX.tar.gz",
                "apks/x86_64/alpine-base-3.20.3-r0.apk",
                "apks/x86_64/alpine-conf-3.18.0-r1.apk",
                "apks/x86_64/bonding-2.8-r3.apk",
                "apks/x86_64/openssh-9.7_p1-r4.apk",
                "boot/modloop-lts",
            ]),
            "arch-202402" => only(&[
                "arch/x86_64/airootfs.sfs",
                "arch/x86_64/airootfs.sfs.cms.sig",
                "arch/x86_64/airootfs.sha512",
            ]),
            "systemrescue-11" => {
                only(&["sysresccd/x86_64/airootfs.sfs", "sysresccd/x86_64/airootfs.sha512"])
            }
            "truenas-24.10" => Hosted::medium(),
            _ => Hosted::whole_tree(),
        };
        assert_eq!(draft.hosted, hosted, "{name}");
        let warned = draft.notes.iter().any(|n| n.text.contains("carries no packages"));
        let bare = ["rocky-9-boot", "opensuse-leap-16-agama"];
        assert_eq!(warned, bare.contains(&name.as_str()), "{name}: {:?}", draft.notes);
        if name == "debian-12-dvd" {
            facts.base_url = Some("http://192.0.2.1/d/".into());
            let mut draft = Draft::default();
            recipe.family.say(&facts, &metal, &mut draft).expect(&name);
            assert_eq!(draft.hosted, Hosted::whole_tree());
            let preseed = draft.in_initrd.iter().find(|m| m.path.to_string() == "preseed.cfg");
            let text = String::from_utf8(preseed.expect("made").bytes().expect("ours").to_vec())
                .expect("utf-8");
            assert!(text.contains("d-i mirror/http/directory string /d/repo\n"), "{text}");
        }
    }
}

#[test]
fn debian_asks_for_what_its_media_have_not() {
    let recipes = bundled().expect("recipes");
    let (tree, volume_id) = fixture("debian-12-netinst");
    let id = known(&tree, &volume_id);
    let recipe = select(&recipes, &id, &tree, true).expect("selects").recipe;
    let netboot = recipe.netboot.as_ref().expect("netboot");
    let (kernel, _) = netboot.packaged(&id).expect("packaged");
    assert_eq!(
        kernel.to_str(),
        Some("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux")
    );
    let ask = netboot.ask(&id);
    assert!(ask.contains("debian-installer-12-netboot-amd64"), "{ask}");
    assert!(ask.contains("dists/bookworm/main/installer-amd64/"), "{ask}");
}

#[test]
fn alpine_asks_for_a_kernel_with_network_drivers() {
    let recipes = bundled().expect("recipes");
    let (tree, volume_id) = fixture("alpine-3.20");
    let id = known(&tree, &volume_id);
    let recipe = select(&recipes, &id, &tree, true).expect("selects").recipe;
    let ask = recipe.netboot.as_ref().expect("netboot").ask(&id);
    assert!(ask.contains("/alpine/v3.20/releases/x86_64/netboot-3.20.3/"), "{ask}");
}

#[test]
fn a_live_medium_of_a_known_vendor_is_not_taken_for_its_installer() {
    let tree: Tree = ["LiveOS/squashfs.img", "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"]
        .iter()
        .map(|p| (p.parse().expect("path"), isowright::content::tree::Node::file("x")))
        .collect();
    let id = known(&tree, "Fedora-WS-Live-40-1-14");
    assert_eq!(id.distro.as_ref().expect("distro").value, "Fedora");
    assert_eq!(id.variant.as_ref().expect("variant").value, "live");
    let recipes = bundled().expect("recipes");
    assert_eq!(select(&recipes, &id, &tree, true).expect("selects").recipe.name, "fedora-live");
}

#[test]
fn packages_that_an_object_store_may_lose_are_told_of() {
    for r in bundled().expect("recipes") {
        let packages = r.hosted.tree || r.hosted.files.iter().any(|f| f.starts_with("apks/"));
        let told =
            r.notes.iter().any(|n| n.major.is_empty() && n.text.contains(" + in their names"));
        assert!(told || !packages, "{}", r.name);
    }
}

#[test]
fn who_lacks_a_netboot_pair_is_told_why_once_and_what_to_do() {
    for (name, hint) in [
        (
            "debian-12-netinst",
            "install the package debian-installer-12-netboot-amd64, or give both",
        ),
        ("devuan-5-netinst", "give both files yourself"),
        ("alpine-3.20", "give both files yourself"),
    ] {
        let (tree, volume_id) = fixture(name);
        let identity = known(&tree, &volume_id);
        let recipes = bundled().expect("recipes");
        let recipe = select(&recipes, &identity, &tree, true).expect(name).recipe;
        let netboot = recipe.netboot.as_ref().expect(name);
        let told = netboot.ask(&identity);
        assert!(told.starts_with(hint) && told.contains("the vendor's are in http"), "{told}");
        assert!(!told.contains(&netboot.why), "{told}");
    }
}
