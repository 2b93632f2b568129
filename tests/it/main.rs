//! The whole: the real binary with real servers, and checks of the tree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod layering;
