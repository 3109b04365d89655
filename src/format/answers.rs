//! What answer files share: strict templates, and GRUB's serial settings for the installed system.

use crate::error::{Error, ErrorKind, Result};
use crate::model::console::{Console, Serial};
use crate::model::profile::Disk;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;
use std::cell::RefCell;

thread_local! {
    /// Our templates as parsed, by name: a tree for a thousand hosts fills each in a thousand times.
    static OURS: RefCell<Option<Environment<'static>>> = const { RefCell::new(None) };
}

/// Renders one of our templates; a value that it wants and does not get is an error. Values come from
/// a checked profile: no line breaks in them, so that none can end a heredoc or begin a command.
pub(crate) fn render(
    name: &'static str,
    template: &'static str,
    values: impl Serialize,
) -> Result<String> {
    OURS.with_borrow_mut(|ours| {
        let env = match ours {
            Some(env) => env,
            None => ours.insert(strict().map_err(|e| wrong(name, e))?),
        };
        if !env.get_template(name).is_ok_and(|t| t.source() == template) {
            env.add_template(name, template).map_err(|e| wrong(name, e))?;
        }
        let text = env.get_template(name).and_then(|t| t.render(Value::from(Serde(values))));
        Ok(text.map_err(|e| wrong(name, e))?.trim_end().to_owned() + "\n")
    })
}

/// Undefined values are errors, and a block alone on its line leaves none.
fn strict() -> std::result::Result<Environment<'static>, minijinja::Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    Ok(env)
}

fn wrong(name: &str, e: minijinja::Error) -> Error {
    Error::new(ErrorKind::Unsupported, format!("template {name}")).because(e)
}

/// Renders one of our XML templates: what stands for a value is escaped, whatever it is. Values stand
/// between tags, never in an attribute.
pub(crate) fn render_xml(name: &str, template: &str, values: impl Serialize) -> Result<String> {
    let mut env = strict().map_err(|e| wrong(name, e))?;
    env.set_formatter(|out, _, value| {
        let text = value.to_string();
        // XML 1.0, production 2: no other control character can be said, not even escaped.
        if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
            let what = format!("XML has no character {}", c.escape_unicode());
            return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, what));
        }
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        out.write_str(&escaped).map_err(minijinja::Error::from)
    });
    let values = Value::from(Serde(values));
    let text = env.render_named_str(name, template, values).map_err(|e| wrong(name, e))?;
    Ok(text.trim_end().to_owned() + "\n")
}

/// Renders the operator's own template: a value that it wants and does not get is an error that names
/// file and line.
///
/// # Errors
/// `Usage`.
pub fn render_own(name: &str, template: &str, values: impl Serialize) -> Result<String> {
    let wrong = |e: minijinja::Error| {
        let line = e.line().map_or_else(String::new, |l| format!(":{l}"));
        let detail = e.detail().map_or_else(|| e.kind().to_string(), str::to_owned);
        Error::usage(format!("the template can't be filled in: {detail}"))
            .source_name(format!("{name}{line}"))
            .hint("`isowright recipe schema profile` lists the values of `profile`; `medium` has version, codename, arch; `base_url`")
    };
    let env = strict().map_err(wrong)?;
    let text = env.render_named_str(name, template, Value::from(Serde(values))).map_err(wrong)?;
    Ok(text.trim_end().to_owned() + "\n")
}

/// Shell that sets `$disks`, and `$1` and `$2` with it, to the kernel's names of the disks to wipe, or
/// `$why` where there are none. For any installer that has a POSIX shell with sort, head and readlink.
pub(crate) fn choose_disks(disk: &Disk) -> Result<String> {
    let values = serde_json::json!({
        "devices": disk.devices.join(" "),
        "count": disk.count(),
        "min_sectors": Disk::MIN_GIB * (1 << 21),
        "min_gib": Disk::MIN_GIB,
    });
    let text =
        render("choose-disks.sh", include_str!("../../templates/choose-disks.sh.jinja"), values)?;
    Ok(text.trim_end().to_owned())
}

/// GRUB's words for the consoles, as `/etc/default/grub` wants them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrubDefaults {
    /// `GRUB_TERMINAL`.
    pub terminal: String,
    /// `GRUB_SERIAL_COMMAND`.
    pub command: String,
}

/// `None` where no console is a serial port that GRUB can drive (`ttyS0`..`ttyS3`).
pub fn grub_defaults(consoles: &[Console]) -> Option<GrubDefaults> {
    let port = consoles.iter().rev().find_map(Console::serial).filter(|s| s.io_port().is_some())?;
    let screen = consoles.iter().any(|c| c.serial().is_none());
    Some(GrubDefaults {
        terminal: if screen { "console serial" } else { "serial" }.to_owned(),
        command: serial_command(port),
    })
}

fn serial_command(s: &Serial) -> String {
    let parity = match s.parity {
        'e' => "even",
        'o' => "odd",
        _ => "no",
    };
    format!(
        "serial --unit={} --speed={} --word={} --parity={parity} --stop=1",
        s.unit, s.baud, s.bits
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grub_gets_the_last_serial_port_and_the_screen_where_wished() {
        let c = |s: &str| s.parse::<Console>().expect(s);
        let g = grub_defaults(&[c("tty0"), c("ttyS1,115200n8")]).expect("serial");
        assert_eq!(g.terminal, "console serial");
        assert_eq!(g.command, "serial --unit=1 --speed=115200 --word=8 --parity=no --stop=1");
        assert_eq!(grub_defaults(&[c("ttyS0,9600e7")]).expect("serial").terminal, "serial");
        assert_eq!(grub_defaults(&[c("tty0")]), None);
        assert_eq!(grub_defaults(&[c("hvc0,9600")]), None, "GRUB has no driver for it");
    }

    #[test]
    fn a_value_that_is_missing_is_an_error() {
        assert!(render("t", "{{ nothing }}", ()).is_err());
        assert!(render_xml("t", "{{ nothing }}", ()).is_err());
    }

    #[test]
    fn xml_is_escaped_without_being_asked() {
        let values = serde_json::json!({ "v": "a && b <c> \"d\" ]]>", "n": 1 });
        let text = render_xml("t", "<x>{{ v }}</x>{{ n }}", &values).expect("renders");
        assert_eq!(text, "<x>a &amp;&amp; b &lt;c&gt; \"d\" ]]&gt;</x>1\n");
        let bad = serde_json::json!({ "v": "\u{1}" });
        assert!(render_xml("t", "{{ v }}", &bad).is_err());
    }
}
