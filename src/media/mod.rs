//! RECOGNITION. Content to [`Media`].

pub mod bootdocs;
pub mod identity;
pub mod labels;
