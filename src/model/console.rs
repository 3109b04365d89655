//! The console as one typed value. Parsed once at the edge, spelled last: for the kernel by
//! `Display`, for GRUB and syslinux by their formats from the facts here.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a machine talks to its operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Console {
    /// The screen: `tty0`.
    Graphical {
        /// Virtual terminal number; 0 is the one in front.
        vt: u8,
    },
    /// A serial port.
    Serial(Serial),
}

/// A serial port and its line settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serial {
    /// Driver name without the number: `ttyS`, `ttyAMA`, `hvc`.
    pub device: String,
    /// Counts from 0: `ttyS1` is the second port, COM2.
    pub unit: u8,
    /// Bits per second.
    pub baud: u32,
    /// `n`, `e` or `o`.
    pub parity: char,
    /// Data bits, 7 or 8.
    pub bits: u8,
}

impl Serial {
    /// The PC's I/O port of `ttyS0`..`ttyS3`.
    pub fn io_port(&self) -> Option<u16> {
        (self.device == "ttyS").then_some(())?;
        [0x3f8, 0x2f8, 0x3e8, 0x2e8].get(usize::from(self.unit)).copied()
    }

    /// `ttyS1`.
    pub fn tty(&self) -> String {
        format!("{}{}", self.device, self.unit)
    }
}

impl Console {
    /// The serial port, where it is one.
    pub fn serial(&self) -> Option<&Serial> {
        match self {
            Console::Serial(s) => Some(s),
            Console::Graphical { .. } => None,
        }
    }
}

/// The kernel's spelling: `tty0`, `ttyS1,115200n8`.
impl fmt::Display for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Console::Graphical { vt } => write!(f, "tty{vt}"),
            Console::Serial(s) => {
                write!(f, "{}{},{}{}{}", s.device, s.unit, s.baud, s.parity, s.bits)
            }
        }
    }
}

impl FromStr for Console {
    type Err = Error;

    /// Takes the kernel's spelling (Documentation/admin-guide/serial-console.rst): device, unit,
    /// then speed, parity, bits, each with a default: `ttyS1` is `ttyS1,9600n8` to the kernel, but a
    /// speed left out is refused here, for nobody means 9600.
    fn from_str(s: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::usage(format!("console \"{s}\": {why}"))
                .hint("write it as \"ttyS1,115200n8\" or \"tty0\"")
        };
        if s.starts_with("console=") {
            return Err(bad("leave out \"console=\""));
        }
        if s.starts_with("/dev/") {
            return Err(bad("leave out \"/dev/\""));
        }
        let (dev, opts) = s.split_once(',').map_or((s, None), |(d, o)| (d, Some(o)));
        let digits =
            dev.find(|c: char| c.is_ascii_digit()).ok_or_else(|| bad("the port has no number"))?;
        let (device, unit) = dev.split_at(digits);
        let unit: u8 = unit.parse().map_err(|_| bad("the port's number is not one"))?;
        if device.is_empty() || !device.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(bad("that is no device"));
        }
        if device == "tty" {
            if opts.is_some() {
                return Err(bad("a screen has no speed"));
            }
            return Ok(Console::Graphical { vt: unit });
        }
        let opts = opts.ok_or_else(|| bad("the speed is missing"))?;
        let end = opts.find(|c: char| !c.is_ascii_digit()).unwrap_or(opts.len());
        let baud: u32 = opts[..end].parse().map_err(|_| bad("the speed is not a number"))?;
        if !(50..=4_000_000).contains(&baud) {
            return Err(bad("no port has that speed"));
        }
        let mut rest = opts[end..].chars();
        let parity = rest.next().unwrap_or('n');
        if !matches!(parity, 'n' | 'e' | 'o') {
            return Err(bad("parity is n, e or o"));
        }
        let bits = match rest.next() {
            None | Some('8') => 8,
            Some('7') => 7,
            Some(_) => return Err(bad("data bits are 7 or 8")),
        };
        if rest.next().is_some() {
            return Err(bad("there is something behind the data bits"));
        }
        Ok(Console::Serial(Serial { device: device.to_owned(), unit, baud, parity, bits }))
    }
}

impl Serialize for Console {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Console {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Console {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Console".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "As the kernel spells it, without \"console=\": \"tty0\" or \"ttyS1,115200n8\".",
            "pattern": "^(tty[0-9]+|[A-Za-z]+[0-9]+,[0-9]+([neo][78]?)?)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_spelling_comes_back_whole() {
        for (given, spelled) in [
            ("ttyS1,115200n8", "ttyS1,115200n8"),
            ("ttyS0,9600", "ttyS0,9600n8"),
            ("ttyAMA0,115200e7", "ttyAMA0,115200e7"),
            ("tty0", "tty0"),
        ] {
            assert_eq!(given.parse::<Console>().expect(given).to_string(), spelled);
        }
    }

    #[test]
    fn slips_are_told_with_the_right_spelling() {
        for (bad, why) in [
            ("console=ttyS1,115200n8", "leave out"),
            ("/dev/ttyS1", "leave out"),
            ("ttyS1", "speed is missing"),
            ("ttyS,115200", "no number"),
            ("ttyS1,115200x8", "parity"),
            ("ttyS1,115200n9", "data bits"),
            ("tty0,9600", "screen"),
            ("ttyS1,1", "speed"),
            ("", "no number"),
        ] {
            let e = bad.parse::<Console>().expect_err(bad);
            assert!(e.to_string().contains(why), "{bad}: {e}");
        }
    }

    #[test]
    fn the_second_port_is_2f8() {
        let c: Console = "ttyS1,115200n8".parse().expect("console");
        assert_eq!(c.serial().expect("serial").io_port(), Some(0x2f8));
    }
}
