//! The ingest pipeline of a connector and its switches.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{RecordError, properties::Properties};

/// The default pipeline of Elasticsearch 9.
pub const DEFAULT_PIPELINE: &str = "search-default-ingestion";
/// The default pipeline of Elasticsearch 8, the same under its older name.
pub const DEFAULT_PIPELINE_8: &str = "ent-search-generic-ingestion";

/// Document field: extract text from `_attachment`.
pub const EXTRACT_BINARY_CONTENT_FIELD: &str = "_extract_binary_content";
/// Document field: reduce white space in `body`.
pub const REDUCE_WHITESPACE_FIELD: &str = "_reduce_whitespace";
/// Document field: run the user's inference pipeline.
pub const RUN_ML_INFERENCE_FIELD: &str = "_run_ml_inference";

/// Through which ingest pipeline documents go, and what it does with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pipeline {
    /// Whether files are fetched and their text extracted.
    pub extract_binary_content: bool,
    /// The id of the pipeline in Elasticsearch.
    pub name: String,
    /// Whether runs of white space in `body` become one space.
    pub reduce_whitespace: bool,
    /// Whether a user's inference pipeline runs.
    pub run_ml_inference: bool,
}

impl Pipeline {
    /// The pipeline of this name, with everything switched on, as is the default.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            extract_binary_content: true,
            name: name.into(),
            reduce_whitespace: true,
            run_ml_inference: true,
        }
    }

    /// The switches as they are put into every content document.
    pub fn document_fields(&self) -> [(&'static str, bool); 3] {
        [
            (EXTRACT_BINARY_CONTENT_FIELD, self.extract_binary_content),
            (REDUCE_WHITESPACE_FIELD, self.reduce_whitespace),
            (RUN_ML_INFERENCE_FIELD, self.run_ml_inference),
        ]
    }

    pub(crate) fn read(
        properties: Properties<'_>,
        path: &str,
        map: &Map<String, Value>,
    ) -> Result<Self, RecordError> {
        let properties = properties.at(path, map);
        let default = Self::default();
        Ok(Self {
            extract_binary_content: properties
                .flag("extract_binary_content")?
                .unwrap_or(default.extract_binary_content),
            name: properties.filled_text("name")?.unwrap_or(default.name),
            reduce_whitespace: properties
                .flag("reduce_whitespace")?
                .unwrap_or(default.reduce_whitespace),
            run_ml_inference: properties
                .flag("run_ml_inference")?
                .unwrap_or(default.run_ml_inference),
        })
    }
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::named(DEFAULT_PIPELINE)
    }
}
