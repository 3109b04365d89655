//! A tree in an object store, straight from the medium's extents.
//!
//! Payload goes first, then the records, the entry points last; where an object that is there gets other
//! bytes, the entry points are withdrawn before. So no machine ever finds a `boot.ipxe` whose kernel is missing
//! or is another version's.

pub mod claim;
pub mod item;
pub mod ledger;
mod pump;
mod run;
mod survey;
mod todo;

pub use run::{Options, publish};
pub use survey::Why;
pub(in crate::publish) use survey::is;
pub use todo::{Operation, Report};
