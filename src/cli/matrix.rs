//! Several recipe files in one run: a matrix of jobs, whole or a share of it.

use super::args::{Build, Matrix, Publish, Source};
use super::build::{self, Built};
use super::resolve::{self, Shelf, Wish};
use super::{Outcome, publish, term};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cms::Signer;
use crate::plan::render;
use crate::publish::bucket::claim::is_taken;
use crate::recipe::job::Job;
use crate::recipe::source::FileOrUrl;
use crate::recipe::{Kind, kind_of};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Seconds that a run waits for others, all in all; each of their claims lives for a minute at most.
const MAX_WAIT: u32 = 3600;

/// A recipe file that is to be built.
#[derive(Debug, Clone)]
pub struct OneJob {
    /// Its file's name without `.toml`: the same wherever the matrix is taken from.
    pub name: String,
    /// The file, as typed.
    pub file: PathBuf,
    /// The medium that it names.
    image: String,
}

/// The jobs of this run in the order of their names; `None` where it is one source without a matrix.
///
/// # Errors
/// `Usage` for what is no job, for two of one name or with one output, and for a wrong share.
pub fn jobs(source: &Source, more: &[PathBuf], m: &Matrix) -> Result<Option<Vec<OneJob>>> {
    if more.is_empty() && m.shard.is_none() && !m.matrix {
        return Ok(None);
    }
    let more = more.iter().cloned().map(FileOrUrl::File);
    let files: Vec<FileOrUrl> = std::iter::once(source.source.clone()).chain(more).collect();
    let mut jobs: BTreeMap<String, OneJob> = BTreeMap::new();
    let mut outputs: BTreeMap<PathBuf, String> = BTreeMap::new();
    for file in &files {
        let Some((job, text)) = read(file)? else { continue };
        for out in text.output.iter().flat_map(|o| o.written()) {
            if let Some(other) = outputs.insert(out.to_owned(), job.name.clone()) {
                let what = format!("{other} and {} both write {}", job.name, out.display());
                return Err(Error::usage(what).hint("give each its own output"));
            }
        }
        if let Some(other) = jobs.insert(job.name.clone(), job) {
            let what = format!("two recipe files are named {}", other.name);
            return Err(Error::usage(what)
                .source_name(file)
                .hint("a job's name is its file's: rename one"));
        }
    }
    let all: Vec<OneJob> = jobs.into_values().collect();
    let share = m.shard.as_deref().map(share).transpose()?;
    Ok(Some(match share {
        Some((i, n)) => all.into_iter().skip(i).step_by(n).collect(),
        None => all,
    }))
}

/// A job's file; `None` for a recipe of a distribution, which a shell's `*.toml` brings along.
fn read(file: &FileOrUrl) -> Result<Option<(OneJob, Job)>> {
    let Some(file) = file.file().filter(|f| f.extension().is_some_and(|e| e == "toml")) else {
        return Err(Error::usage("is no recipe file (.toml)").source_name(file).hint(
            "several sources at a time are recipe files, each with its own source and output",
        ));
    };
    let text = resolve::read_text(file)?;
    if kind_of(&text) == Kind::Recipe {
        eprintln!(
            "note: {}: says how a distribution is handled, and builds nothing: passed over",
            term::safe(&file.display().to_string())
        );
        return Ok(None);
    }
    let job = Job::from_toml(&text, file)?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let image = job.source.image()?.to_string();
    Ok(Some((OneJob { name, file: file.to_owned(), image }, job)))
}

/// `I/N`, counted from 1, or `/N` with Kubernetes' index, counted from 0: which jobs, of how many shares.
fn share(text: &str) -> Result<(usize, usize)> {
    let wrong = || {
        Error::usage(format!("--shard \"{text}\" is no share"))
            .hint("--shard 2/5 is the second of five; --shard /5 goes by JOB_COMPLETION_INDEX")
    };
    let (i, n) = text.split_once('/').ok_or_else(wrong)?;
    let n: usize = n.parse().map_err(|_| wrong())?;
    let i = match i {
        "" => {
            const INDEX: &str = "JOB_COMPLETION_INDEX";
            let index = std::env::var(INDEX).map_err(|_| {
                Error::usage(format!("{INDEX} is not set"))
                    .hint("Kubernetes sets it in a Job with completionMode: Indexed; elsewhere say --shard I/N")
            })?;
            index.parse::<usize>().ok().and_then(|i| i.checked_add(1)).ok_or_else(wrong)?
        }
        i => i.parse().map_err(|_| wrong())?,
    };
    match (1..=n).contains(&i) {
        true => Ok((i - 1, n)),
        false => Err(wrong()),
    }
}

/// The jobs as GitHub's `strategy.matrix` takes them, and any other CI's generator.
pub fn print(jobs: &[OneJob]) {
    let include: Vec<Value> = jobs
        .iter()
        .map(|j| json!({"name": j.name, "recipe": j.file.display().to_string(), "source": j.image}))
        .collect();
    // One line: GitHub's $GITHUB_OUTPUT takes no more.
    term::out(&format!("{}\n", json!({ "include": include })));
}

/// What became of a job.
pub struct Row {
    name: String,
    /// What a person and a machine are told; the error's one line otherwise.
    made: std::result::Result<(String, Value), String>,
}

/// Builds each job; one that fails does not stop the others.
///
/// # Errors
/// `Interrupted`; where jobs have failed, the kind of the first, after all is told.
pub fn build(a: &Build, jobs: &[OneJob], signer: Option<&Signer>) -> Result<Outcome> {
    if a.output.is_some() {
        return Err(Error::usage("-o names one folder, and a matrix has many")
            .hint("each recipe file names its own in [[output]]"));
    }
    if a.matrix.matrix {
        print(jobs);
        return Ok(Outcome::Done);
    }
    each(&a.source, jobs, a.json, |wish, _| {
        let built = build::one(a, wish, signer)?;
        let told: Vec<String> = built.iter().map(line).collect();
        let values = built.iter().map(Built::json).collect::<Result<Vec<_>>>()?;
        Ok((told.join("; "), build::one_or_all(values)))
    })
}

fn line(b: &Built) -> String {
    match b {
        Built::Tree(plan, done, out) => {
            let risk = match plan.disks.at_risk() {
                true => format!("; disks when it is booted: {}", render::disks(plan)),
                false => String::new(),
            };
            let (files, size) = (done.manifest.files.len(), render::human(plan.bytes()));
            let (out, written, kept) = (out.display(), done.written, done.kept);
            format!(
                "{files} files, {size} in {out} ({written} written, {kept} there already){risk}"
            )
        }
        Built::Image(_) => "an image".into(),
    }
}

/// Publishes each job below its own name. One that another run is at comes again when the others are done: so
/// processes that are given the same jobs share them, with the store as their memory.
///
/// # Errors
/// As [`build`].
pub fn publish(a: &Publish, jobs: &[OneJob], signer: Option<&Signer>) -> Result<Outcome> {
    if a.matrix.matrix {
        print(jobs);
        return Ok(Outcome::Done);
    }
    each(&a.source, jobs, a.json, |wish, job| {
        let (told, report) = publish::one(a, wish, &job.name, signer)?;
        let value = serde_json::to_value(report)
            .map_err(|e| Error::new(ErrorKind::Io, "can't spell the report").because(e))?;
        Ok((told, value))
    })
}

/// Does `work` for each job, with the media that several share on one shelf, and tells a table.
pub fn each(
    source: &Source,
    jobs: &[OneJob],
    json: bool,
    mut work: impl FnMut(Wish, &OneJob) -> Result<(String, Value)>,
) -> Result<Outcome> {
    let shelf = Rc::<Shelf>::default();
    jobs.iter().for_each(|j| shelf.expect(&j.image));
    let mut rows: Vec<Row> = Vec::new();
    let mut first = None;
    let mut todo: VecDeque<&OneJob> = jobs.iter().collect();
    let mut waited = 0;
    // Jobs in a row that another run is at.
    let mut taken = 0;
    while let Some(job) = todo.pop_front() {
        term::stopped()?;
        let file = FileOrUrl::File(job.file.clone());
        let made = resolve::wish(&file, &source.wanted).and_then(|mut wish| {
            wish.shelf = shelf.clone();
            work(wish, job)
        });
        let made = match made {
            Err(e) if is_taken(&e) && waited < MAX_WAIT => {
                todo.push_back(job);
                taken += 1;
                if taken >= todo.len() {
                    std::thread::sleep(Duration::from_secs(1));
                    waited += 1;
                }
                continue;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                eprintln!("isowright: {}: {}", job.name, term::safe(&e.to_string()));
                if let Some(h) = e.hint_text() {
                    eprintln!("hint: {}", term::safe(h));
                }
                first.get_or_insert(e.kind());
                Err(e.to_string())
            }
            Ok(m) => Ok(m),
        };
        taken = 0;
        shelf.over(&job.image);
        rows.push(Row { name: job.name.clone(), made });
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    tell(&rows, json);
    let failed = rows.iter().filter(|r| r.made.is_err()).count();
    match first {
        None => Ok(Outcome::Done),
        Some(kind) => Err(Error::new(kind, format!("{failed} of {} jobs failed", rows.len()))
            .hint("run it again when that is mended: what is done is kept")),
    }
}

fn tell(rows: &[Row], json: bool) {
    if json {
        let value = |r: &Row| match &r.made {
            Ok((_, v)) => json!({"job": r.name, "ok": true, "made": v}),
            Err(e) => json!({"job": r.name, "ok": false, "error": e}),
        };
        let all: Vec<Value> = rows.iter().map(value).collect();
        return term::out(&format!("{:#}\n", Value::from(all)));
    }
    let width = rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
    let mut s = String::new();
    for r in rows {
        let (mark, what) = match &r.made {
            Ok((told, _)) => ("done  ", told),
            Err(e) => ("FAILED", e),
        };
        let _ = writeln!(s, "{:width$}  {mark}  {what}", r.name);
    }
    term::lines(&s);
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_counted_from_one() {
        assert_eq!(share("1/3").expect("share"), (0, 3));
        assert_eq!(share("3/3").expect("share"), (2, 3));
        for bad in ["0/3", "4/3", "1/0", "x/3", "3", "1/3/5", "-1/3", ""] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
