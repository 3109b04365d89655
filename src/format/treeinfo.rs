//! treeinfo
