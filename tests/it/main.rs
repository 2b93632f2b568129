//! The whole: the real binary with real servers, and checks of the tree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod dir;
mod documents;
mod engine;
mod layering;
mod ledger;
mod life;
mod postgresql;
mod service;
mod takeover;
mod unchanged;

/// Makes each scenario a test for each engine, by the name of the engine.
macro_rules! scenarios {
    ($($scenario:ident),* $(,)?) => {
        scenarios!(@engine store, Store, $($scenario),*);
        scenarios!(@engine elasticsearch, Elasticsearch, $($scenario),*);
        scenarios!(@engine elasticsearch8, Elasticsearch8, $($scenario),*);
        scenarios!(@engine opensearch, OpenSearch, $($scenario),*);
    };
    (@engine $name:ident, $choice:ident, $($scenario:ident),*) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() -> anyhow::Result<()> {
                let choice = tributary_testkit::servers::EngineChoice::$choice;
                match crate::engine::Engine::of(choice).await? {
                    Some(engine) => super::$scenario(engine).await,
                    None => Ok(()),
                }
            })*
        }
    };
}
pub(crate) use scenarios;
