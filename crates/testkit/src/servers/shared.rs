//! Servers that the tests of one process share: started at the first call, killed when the process ends.
//!
//! Keep tests that use them in one test binary, since each binary starts its own. What a test leaves in a shared
//! server, others see: use names of your own for indices and databases, or take
//! [`SearchEngine::exclusive`](super::SearchEngine::exclusive).

use anyhow::Result;
use tokio::sync::OnceCell;

use super::{
    ElasticsearchOptions, ElasticsearchVersion, OpenSearchOptions, Postgres, PostgresOptions,
    SearchEngine,
};

/// Elasticsearch 9 with security on.
///
/// # Errors
/// It does not start. The next call tries again.
pub async fn elasticsearch() -> Result<&'static SearchEngine> {
    static SHARED: OnceCell<SearchEngine> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| SearchEngine::elasticsearch(ElasticsearchOptions::default()))
        .await
}

/// Elasticsearch 8.19 with security on.
///
/// # Errors
/// It does not start. The next call tries again.
pub async fn elasticsearch_8() -> Result<&'static SearchEngine> {
    static SHARED: OnceCell<SearchEngine> = OnceCell::const_new();
    let options = ElasticsearchOptions {
        version: ElasticsearchVersion::V8,
        ..Default::default()
    };
    SHARED
        .get_or_try_init(|| SearchEngine::elasticsearch(options))
        .await
}

/// OpenSearch 3, with the attachment processor.
///
/// # Errors
/// It does not start. The next call tries again.
pub async fn opensearch() -> Result<&'static SearchEngine> {
    static SHARED: OnceCell<SearchEngine> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| SearchEngine::opensearch(OpenSearchOptions::default()))
        .await
}

/// PostgreSQL with the default options.
///
/// # Errors
/// It does not start. The next call tries again.
pub async fn postgres() -> Result<&'static Postgres> {
    static SHARED: OnceCell<Postgres> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| Postgres::start(PostgresOptions::default()))
        .await
}
