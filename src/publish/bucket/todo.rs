//! What is to be done, in order; and how it is told.

use super::item::{Item, Job};
use super::survey::{Fate, Survey, Why};
use crate::plan::Role;
use serde::Serialize;

/// One thing that is done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// `put`, `withdraw` (an entry point, until what it names is there) or `delete`.
    pub op: &'static str,
    /// Key below the prefix.
    pub key: String,
    /// Bytes, where it is put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// `Content-Type`, where it is put.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<&'static str>,
    /// `Cache-Control`, where it is put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'static str>,
    /// Why it is put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// What a run did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which they are done; payload in no order among itself.
    pub operations: Vec<Operation>,
    /// Objects that were there already.
    pub kept: usize,
    /// Objects that are stale and were left.
    pub stale: usize,
    /// What the operator should know.
    pub notes: Vec<String>,
}

impl Report {
    /// How many operations are of this kind.
    pub fn count(&self, op: &str) -> usize {
        self.operations.iter().filter(|o| o.op == op).count()
    }

    /// Bytes sent.
    pub fn bytes(&self) -> u64 {
        self.operations.iter().filter_map(|o| o.bytes).sum()
    }

    fn plain(&mut self, op: &'static str, key: &str) {
        let key = key.to_owned();
        let (bytes, media_type, cache, why) = (None, None, None, None);
        self.operations.push(Operation { op, key, bytes, media_type, cache, why });
    }

    fn put(&mut self, item: &Item, why: Why) {
        self.operations.push(Operation {
            op: "put",
            key: item.key.clone(),
            bytes: Some(item.content.len()).filter(|n| *n > 0 || !item.is_record()),
            media_type: Some(item.head.media_type),
            cache: Some(item.head.cache),
            why: Some(why),
        });
    }
}

/// What a run is to do, in order.
pub(super) struct Todo {
    pub(super) withdraw: Vec<String>,
    pub(super) payload: Vec<(Item, Why)>,
    pub(super) records: Vec<(Item, Why)>,
    pub(super) entries: Vec<(Item, Why)>,
    pub(super) delete: Vec<String>,
    pub(super) kept: usize,
}

impl Todo {
    pub(super) fn of(job: &Job, s: &Survey, delete: &[String]) -> Self {
        let mut t = Todo {
            withdraw: Vec::new(),
            payload: Vec::new(),
            records: Vec::new(),
            entries: Vec::new(),
            delete: delete.to_vec(),
            kept: 0,
        };
        let torn = s.replaces_payload(job);
        for (item, fate) in job.items.iter().zip(&s.fates) {
            match (item.role, *fate) {
                (Role::Payload, Fate::Put(why)) => t.payload.push((item.clone(), why)),
                (Role::EntryPoint, Fate::Put(why)) => t.entries.push((item.clone(), why)),
                (Role::EntryPoint, Fate::Keep(_)) if torn => {
                    t.entries.push((item.clone(), Why::Withdrawn));
                }
                (_, Fate::Keep(_)) => t.kept += 1,
            }
            if torn && item.role == Role::EntryPoint && s.there.contains_key(&item.key) {
                t.withdraw.push(item.key.clone());
            }
        }
        t
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payload.is_empty()
            && self.records.is_empty()
            && self.entries.is_empty()
            && self.delete.is_empty()
    }

    pub(super) fn report(&self, stale: usize) -> Report {
        let mut r = Report { kept: self.kept, stale, ..Report::default() };
        self.withdraw.iter().for_each(|k| r.plain("withdraw", k));
        let puts = self.payload.iter().chain(&self.records).chain(&self.entries);
        puts.for_each(|(i, why)| r.put(i, *why));
        self.delete.iter().for_each(|k| r.plain("delete", k));
        let replaced = |(i, why): &&(Item, Why)| {
            i.head.cache.contains("immutable") && matches!(why, Why::Changed | Why::Foreign)
        };
        let n = self.payload.iter().filter(replaced).count();
        if n > 0 {
            r.notes.push(format!(
                "{n} objects that caches may keep for a year get other bytes: purge a CDN in front of the store, or publish each version to a prefix of its own"
            ));
        }
        let private: Vec<&str> = self
            .payload
            .iter()
            .chain(&self.entries)
            .filter(|(i, _)| i.private)
            .map(|(i, _)| i.key.as_str())
            .collect();
        if let Some(first) = private.first() {
            r.notes.push(format!(
                "{first} and such ({} in all) hold secrets: whoever may read the bucket may read them",
                private.len()
            ));
        }
        r
    }
}
