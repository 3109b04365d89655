//! Machines in a table: CSV (RFC 4180) with a header.

use super::{Host, Hosts, Role};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::net::IpAddr;

/// A row of the CSV file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    hostname: String,
    macs: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    gateway: Option<String>,
    #[serde(default)]
    dns: String,
    #[serde(default)]
    disks: String,
    #[serde(default)]
    raid1: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    unattended: String,
}

impl Hosts {
    /// Adds the rows of a CSV file (RFC 4180, with a header).
    ///
    /// # Errors
    /// `Usage`, naming `name`, line and column.
    pub fn add_csv(&mut self, text: &str, name: &str) -> Result<()> {
        let hint = "`isowright recipe schema hosts` tells the columns, under \"csv\"";
        // The reader takes it for none, but counts its bytes.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = LineEnds::of(text);
        let at = |p: Option<&csv::Position>| {
            format!("{name}:{}", p.map_or(1, |p| lines.line(text, p.byte())))
        };
        let fault = |e: &csv::Error, place: String| {
            Error::usage(csv_fault(e)).source_name(place).hint(hint)
        };
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let headers = rows.headers().cloned().map_err(|e| fault(&e, at(e.position())))?;
        let mut record = csv::StringRecord::new();
        while rows.read_record(&mut record).map_err(|e| fault(&e, at(e.position())))? {
            let place = at(record.position());
            let row: Row =
                record.deserialize(Some(&headers)).map_err(|e| fault(&e, place.clone()))?;
            let host = row.host().map_err(|e| e.source_name(&place))?;
            self.hosts.push(Host { place, ..host });
        }
        Ok(())
    }
}

impl Row {
    fn host(self) -> Result<Host> {
        let macs = list(&self.macs).map(str::parse).collect::<Result<_>>()?;
        let ip = |s: &str| {
            s.parse::<IpAddr>().map_err(|_| {
                Error::usage(format!("\"{}\" is no IP address", s.escape_debug()))
                    .hint("write it as 192.0.2.1, without a prefix")
            })
        };
        let some = |s: Option<String>| s.filter(|s| !s.is_empty());
        Ok(Host {
            name: self.hostname,
            macs,
            address: some(self.address).map(|a| a.parse()).transpose()?,
            role: some(self.role),
            own: Role {
                gateway: some(self.gateway).map(|g| ip(&g)).transpose()?,
                dns: list(&self.dns).map(ip).collect::<Result<_>>()?,
                disks: list(&self.disks).map(str::to_owned).collect(),
                raid1: truth("raid1", &self.raid1)?,
                unattended: truth("unattended", &self.unattended)?,
                ..Role::default()
            },
            place: String::new(),
        })
    }
}

/// Spreadsheets write `TRUE`, and nothing where nothing is said.
fn truth(column: &str, field: &str) -> Result<Option<bool>> {
    match field.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(Error::usage(format!("{column}: \"{}\" is no truth value", field.escape_debug()))
            .hint("true, false, in any case, or nothing: as the role and the profile say")),
    }
}

/// The values of one field.
fn list(field: &str) -> impl Iterator<Item = &str> {
    field.split(|c: char| c.is_whitespace() || c == ';').filter(|s| !s.is_empty())
}

/// Where the lines of a text end, whatever ends them. The reader's own count is one behind where that
/// is CR LF, and counts no empty lines.
struct LineEnds(Vec<usize>);

impl LineEnds {
    fn of(text: &str) -> Self {
        let b = text.as_bytes();
        let ends = |&i: &usize| b[i] == b'\n' || b[i] == b'\r' && b.get(i + 1) != Some(&b'\n');
        LineEnds((0..b.len()).filter(ends).collect())
    }

    /// The line, from 1, of the first thing at or behind `byte` that is no line's end.
    fn line(&self, text: &str, byte: u64) -> usize {
        let from = usize::try_from(byte).unwrap_or(usize::MAX).min(text.len());
        let passed = text.as_bytes()[from..].iter().take_while(|b| b"\r\n".contains(b)).count();
        self.0.partition_point(|end| *end < from + passed) + 1
    }
}

fn csv_fault(e: &csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(n) => format!("field {}: {}", n + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header names {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".to_owned(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TWO, read};
    use super::*;

    #[test]
    fn a_table_says_the_same() {
        let mut table = Hosts::default();
        let rows = "hostname,macs,address,gateway,dns,disks,raid1,role\n\
                    a,52:54:00:00:00:01;52:54:00:00:00:02,192.0.2.11/24,,,,,db\n\
                    b.example.org,52:54:00:00:00:03,,,,sda,,\n";
        table.add_csv(rows, "hosts.csv").expect("rows");
        let hosts = read(TWO).expect("hosts");
        for (x, y) in table.hosts.iter().zip(&hosts.hosts) {
            assert_eq!(x, &Host { place: x.place.clone(), ..y.clone() });
        }
        assert_eq!(table.hosts[1].place, "hosts.csv:3");
    }

    #[test]
    fn slips_in_a_table_are_told_with_their_line() {
        for (rows, words) in [
            ("hostname,macs,colour\na,52:54:00:00:00:01,red\n", "hosts.csv:2: "),
            ("hostname,macs\na,52:54:00:00:00:01\nb,52:54\n", "hosts.csv:3: \"52:54\" is no MAC"),
            ("hostname\na\n", "macs"),
            ("hostname,macs\na,b,c\n", "hosts.csv:2: 3 fields where the header names 2"),
            (
                "hostname,macs,raid1\na,52:54:00:00:00:01,perhaps\n",
                "hosts.csv:2: raid1: \"perhaps\"",
            ),
            ("hostname,macs,unattended\na,52:54:00:00:00:01,Yes\n", "unattended: \"Yes\""),
            ("hostname,macs,gateway\na,52:54:00:00:00:01,192.0.2.1/24\n", "no IP address"),
        ] {
            // Whatever ends the lines, with a byte order mark or without.
            for ends in ["\n", "\r\n", "\r"] {
                let rows = rows.replace('\n', ends);
                for rows in [rows.clone(), format!("\u{feff}{rows}")] {
                    let e = Hosts::default().add_csv(&rows, "hosts.csv").expect_err(words);
                    assert!(e.to_string().contains(words), "{words}: {e}");
                    assert!(e.hint_text().is_some());
                }
            }
        }
        let gaps =
            "hostname,macs\r\n\r\na,\"52:54:00:00:00:01\r\n52:54:00:00:00:02\"\r\n\r\nb,x\r\n";
        let mut hosts = Hosts::default();
        let e = hosts.add_csv(gaps, "h.csv").expect_err("x");
        assert!(e.to_string().starts_with("h.csv:6: \"x\""), "{e}");
    }

    #[test]
    fn spreadsheets_write_truth_their_way() {
        let mut hosts = Hosts::default();
        let rows = "hostname,macs,raid1,unattended\r\na,52:54:00:00:00:01,TRUE,False\r\n\
                    b,52:54:00:00:00:02,,true\r\n";
        hosts.add_csv(rows, "h.csv").expect("rows");
        let own: Vec<_> = hosts.hosts.iter().map(|h| (h.own.raid1, h.own.unattended)).collect();
        assert_eq!(own, [(Some(true), Some(false)), (None, Some(true))]);
        assert_eq!(hosts.hosts[1].place, "h.csv:3");
    }
}
