//! Secure Boot chains in plain lines, for `inspect`.

use crate::format::pe::State;
use crate::media::secure_boot::{Chain, Program, Signed};
use std::fmt::Write;

/// A block with a line for each program; empty where there is no chain.
pub fn text(chains: &[Chain]) -> String {
    let mut s = String::new();
    for c in chains {
        let _ = write!(s, "  {:<10} ", c.arch.to_string());
        match &c.gaps[..] {
            [] => s.push_str("the chain is whole, from Microsoft's key on\n"),
            gaps => {
                let _ = writeln!(s, "the chain is not whole: {}", gaps.join("; "));
            }
        }
        c.programs.iter().for_each(|p| program(&mut s, p));
    }
    if s.is_empty() { s } else { format!("\nSecure Boot\n{s}") }
}

fn program(s: &mut String, p: &Program) {
    let sbat: Vec<String> = p
        .sbat
        .iter()
        .filter(|l| l.component != "sbat")
        .map(|l| format!("{} {}", l.component, l.generation))
        .collect();
    let sbat =
        if sbat.is_empty() { sbat.concat() } else { format!("  (SBAT {})", sbat.join(", ")) };
    let _ = writeln!(s, "    {:<8} {}{sbat}", p.role.to_string(), p.path);
    for signed in &p.signatures {
        let _ = writeln!(s, "             {}", signature(signed));
    }
    if p.signatures.is_empty() {
        s.push_str("             not signed\n");
    }
    for name in &p.carries {
        let _ = writeln!(s, "             carries the key of \"{name}\"");
    }
}

fn signature(s: &Signed) -> String {
    let state = match s.state {
        State::Intact => "",
        State::Altered => ", and changed since",
        State::Forged => ", but not with that key",
        State::Unchecked => ", not checked",
    };
    format!("signed by \"{}\" of \"{}\"{state}", s.signer, s.issuer)
}
