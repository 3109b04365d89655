//! Plain passwords in an operator's own answer file: found to be warned of, never shown. Hashes of
//! crypt(5) begin with `$`, accounts that nobody can log into have `!` or `*`, and what a template
//! fills in is not known here.
//!
//! Sources: pykickstart's commands rootpw, user, sshpw; debconf's type `password`; cloud-init's
//! cc_set_passwords and cc_users_groups, subiquity's identity; AutoYaST's users section; Proxmox'
//! answer.toml. What a script in an answer file does is not looked at.

use crate::model::profile::AnswerKind;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The lines, from 1, that hold a plain password.
pub fn lines(kind: AnswerKind, text: &str) -> BTreeSet<usize> {
    let by_line = |plain: fn(&str) -> bool| {
        text.lines().zip(1..).filter(|(l, _)| plain(l)).map(|(_, n)| n).collect()
    };
    match kind {
        AnswerKind::Kickstart => by_line(kickstart),
        AnswerKind::Preseed => by_line(preseed),
        AnswerKind::Proxmox => by_line(proxmox),
        AnswerKind::Autoyast => found(text, &AUTOYAST),
        AnswerKind::Autoinstall | AnswerKind::Agama | AnswerKind::Harvester => {
            let mut all = found(text, &KEYED);
            all.extend(chpasswd_list(text));
            all
        }
        // They have hashes or none at all.
        AnswerKind::Ignition | AnswerKind::Talos | AnswerKind::Alpine => BTreeSet::new(),
    }
}

fn is_plain(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    !value.is_empty() && !value.starts_with(['$', '!', '*']) && !value.starts_with("{{")
}

/// Plain is what these commands take where nothing says `--iscrypted`.
fn kickstart(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let command = words.next();
    let words: Vec<&str> = words.take_while(|w| !w.starts_with('#')).collect();
    if words.contains(&"--iscrypted") {
        return false;
    }
    match command {
        Some("rootpw" | "sshpw") => {
            let before = std::iter::once(&"").chain(&words);
            let mut free = words
                .iter()
                .zip(before)
                .filter(|(w, before)| !w.starts_with("--") && **before != "--username");
            free.next().is_some_and(|(w, _)| is_plain(w))
        }
        Some("user") => {
            let behind = |i: usize| words.get(i + 1).copied().unwrap_or_default();
            let value = |(i, w): (usize, &&str)| match w.strip_prefix("--password") {
                Some("") => is_plain(behind(i)),
                Some(v) => v.strip_prefix('=').is_some_and(is_plain),
                None => false,
            };
            words.iter().enumerate().any(value)
        }
        _ => false,
    }
}

/// `OWNER QUESTION TYPE VALUE`; a hash is asked for under a name of its own.
fn preseed(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let owner = words.next().unwrap_or("#");
    let (question, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    !owner.starts_with('#')
        && kind == "password"
        && !question.ends_with("-crypted")
        && words.next().is_some_and(is_plain)
}

/// `root-password`; the hash stands in `root-password-hashed`. Both words were spelled with underscores
/// once.
fn proxmox(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    matches!(key.trim(), "root-password" | "root_password") && is_plain(value)
}

fn pattern(p: &str) -> Option<Regex> {
    Regex::new(p).ok()
}

/// A key of YAML or JSON and its value.
static KEYED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r#"(?m)(?:^|[\s{,])["']?(?:password|passwd|hashed_passwd|plain_text_passwd|passphrase)["']?[ \t]*:[ \t]*(?<value>"[^"\n]*"|'[^'\n]*'|[^\s,}#][^\n,}]*)"#,
    )
});

/// A user's password. `<encrypted>false` alone says nothing: an account without one has it too.
static AUTOYAST: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"<user_password(?:\s[^>]*)?>(?<value>[^<]*)<"));

fn found(text: &str, pattern: &LazyLock<Option<Regex>>) -> BTreeSet<usize> {
    let Some(re) = pattern.as_ref() else { return BTreeSet::new() };
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at) + 1;
    let is_comment = |n: usize| {
        let start = n.checked_sub(2).map_or(0, |before| ends[before] + 1);
        text[start..].trim_start().starts_with('#')
    };
    re.captures_iter(text)
        .filter_map(|c| c.name("value").filter(|v| is_plain(v.as_str())))
        .map(|v| line(v.start()))
        .filter(|n| !is_comment(*n))
        .collect()
}

/// cloud-init's `chpasswd: list:`, a `name:password` per line, in a block or as a list. `R` and `RANDOM`
/// let cloud-init make one up.
fn chpasswd_list(text: &str) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    let mut list = None;
    for (line, n) in text.lines().zip(1..) {
        let inner = line.trim_start();
        let depth = line.len() - inner.len();
        if inner.is_empty() || inner.starts_with('#') {
            continue;
        }
        let item = inner.strip_prefix("- ");
        if list.is_some_and(|l| depth < l || depth == l && item.is_none()) {
            list = None;
        }
        if list.is_some() {
            let (_, word) = item.unwrap_or(inner).split_once(':').unwrap_or_default();
            let word = word.trim_end_matches(['"', '\'']);
            if is_plain(word) && !matches!(word, "R" | "RANDOM") {
                lines.insert(n);
            }
        } else if inner.starts_with("list:") {
            list = Some(depth);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: AnswerKind, text: &str) -> Vec<usize> {
        lines(kind, text).into_iter().collect()
    }

    #[test]
    fn every_pattern_is_one() {
        assert!(KEYED.is_some() && AUTOYAST.is_some());
    }

    #[test]
    fn a_kickstarts_passwords_are_plain_where_nothing_says_otherwise() {
        for plain in [
            "rootpw --plaintext geheim",
            "rootpw geheim",
            "  rootpw \"geheim\" --allow-ssh",
            "sshpw --username root geheim",
            "sshpw --username=root geheim --plaintext",
            "user --name=a --password=geheim",
            "user --name=a --password geheim --groups=wheel",
        ] {
            assert_eq!(told(AnswerKind::Kickstart, &format!("text\n{plain}\n")), [2], "{plain}");
        }
        for fine in [
            "rootpw --iscrypted $6$salt$hash",
            "rootpw $6$salt$hash",
            "rootpw --lock",
            "rootpw --lock # geheim",
            "#rootpw geheim",
            "rootpw {{ profile.install.root_password_hash }}",
            "sshpw --username root --iscrypted $6$salt$hash",
            "sshpw --username root --lock",
            "user --name=a --iscrypted --password=$6$salt$hash",
            "user --name=a --lock",
        ] {
            assert_eq!(told(AnswerKind::Kickstart, fine), [0; 0], "{fine}");
        }
    }

    #[test]
    fn a_preseeds_passwords_are_plain_unless_their_question_says_crypted() {
        let text = "# d-i passwd/root-password password x\n\
                    d-i passwd/root-password password geheim\n\
                    d-i passwd/root-password-again password geheim\n\
                    d-i passwd/root-password-crypted password $6$salt$hash\n\
                    d-i passwd/user-password-crypted password !\n\
                    d-i partman-crypto/passphrase password geheim\n\
                    d-i passwd/user-password password\n\
                    d-i passwd/username string password geheim\n";
        assert_eq!(told(AnswerKind::Preseed, text), [2, 3, 6]);
    }

    #[test]
    fn passwords_of_yaml_and_json_are_found_by_their_keys() {
        let text = "#cloud-config\nautoinstall:\n  identity:\n    password: geheim\n\
                    \x20   # password: x\n    password: \"$6$salt$hash\"\n\
                    \x20 user-data:\n    users:\n      - {name: a, plain_text_passwd: 'geheim'}\n\
                    \x20     - name: b\n        passwd: $6$salt$hash\n        lock_passwd: false\n\
                    \x20   chpasswd:\n      list: |\n        root:geheim\n        b:$6$salt$hash\n        c:RANDOM\n\
                    \x20     expire: false\n    ssh_pwauth: true\n    late: [a:b]\n";
        assert_eq!(told(AnswerKind::Autoinstall, text), [4, 9, 15]);
        let items = "chpasswd:\n  list:\n  - root:geheim\n  - \"b:$6$x$y\"\n  expire: false\n";
        assert_eq!(told(AnswerKind::Autoinstall, items), [3]);
        let text = "{\"root\": {\"password\": \"geheim\"},\n\"user\": {\n\"password\": \"$6$a$b\",\n\
                    \"hashedPassword\": true, \"password\": \"\"}}";
        assert_eq!(told(AnswerKind::Agama, text), [1]);
        assert_eq!(told(AnswerKind::Harvester, "os:\n  password: geheim\n"), [2]);
    }

    #[test]
    fn autoyasts_and_proxmoxs_are_found() {
        let text = "<user>\n<encrypted config:type=\"boolean\">true</encrypted>\n\
                    <user_password>$6$salt$hash</user_password>\n</user><user>\n\
                    <encrypted t=\"boolean\"> false </encrypted>\n<user_password>\ngeheim</user_password>\n\
                    <user_password/>\n<user_password></user_password>\n";
        assert_eq!(told(AnswerKind::Autoyast, text), [6]);
        let text = "[global]\nroot-password = \"geheim\"\nroot-password-hashed = \"$6$a$b\"\n# root-password = \"x\"\n";
        assert_eq!(told(AnswerKind::Proxmox, text), [2]);
    }
}
