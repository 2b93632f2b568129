//! What server it is, and what follows from that.

use serde::Deserialize;
use std::fmt;

/// What kind of server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Elasticsearch, self-managed or hosted.
    Elasticsearch,
    /// Elasticsearch, serverless.
    Serverless,
    /// OpenSearch.
    OpenSearch,
    /// The small store of our own.
    TributaryStore,
}

/// What the server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// What kind of server it is.
    pub flavor: Flavor,
    /// Its version, such as `9.4.3`; empty if we may not ask for it.
    pub version: String,
}

#[derive(Deserialize)]
struct Root {
    version: Option<Version>,
    tagline: Option<String>,
    distribution: Option<String>,
}

#[derive(Deserialize)]
struct Version {
    number: Option<String>,
    distribution: Option<String>,
    build_flavor: Option<String>,
}

impl ServerInfo {
    /// Reads the answer to `GET /`. `product` is the header `X-elastic-product`. `None` if it is
    /// neither Elasticsearch nor OpenSearch.
    pub(crate) fn of(body: &[u8], product: Option<&str>) -> Option<Self> {
        let root: Root = serde_json::from_slice(body).ok()?;
        let version = root.version?;
        let distribution = version.distribution.or(root.distribution);
        let flavor = match (distribution.as_deref(), version.build_flavor.as_deref()) {
            (Some("opensearch"), _) => Flavor::OpenSearch,
            (Some("tributary-store"), _) => Flavor::TributaryStore,
            (_, Some("serverless")) => Flavor::Serverless,
            _ if product == Some("Elasticsearch")
                || root.tagline.as_deref() == Some("You Know, for Search") =>
            {
                Flavor::Elasticsearch
            }
            _ => return None,
        };
        Some(Self {
            flavor,
            version: version.number?,
        })
    }

    /// What is known when the credentials may not ask: the header alone.
    pub(crate) fn unversioned() -> Self {
        Self {
            flavor: Flavor::Elasticsearch,
            version: String::new(),
        }
    }

    /// The first part of the version.
    pub fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }

    /// Whether the `_connector` API can be there at all.
    pub(crate) fn may_have_connector_api(&self) -> bool {
        self.flavor != Flavor::OpenSearch
    }

    /// Whether a write can demand that its name is an alias.
    pub(crate) fn knows_require_alias(&self) -> bool {
        self.flavor != Flavor::TributaryStore
    }

    /// The media types of a JSON body and of a bulk body. Elasticsearch gets its own, with the
    /// version whose format is meant: both `Accept` and `Content-Type` must carry it, and OpenSearch
    /// answers 406. Where the version is unknown, the plain ones work everywhere.
    pub(crate) fn media_types(&self) -> MediaTypes {
        match (self.flavor, self.major()) {
            (Flavor::Elasticsearch, Some(8)) => MediaTypes {
                json: "application/vnd.elasticsearch+json; compatible-with=8",
                lines: "application/vnd.elasticsearch+x-ndjson; compatible-with=8",
            },
            (Flavor::Elasticsearch, Some(9..)) => MediaTypes {
                json: "application/vnd.elasticsearch+json; compatible-with=9",
                lines: "application/vnd.elasticsearch+x-ndjson; compatible-with=9",
            },
            _ => MediaTypes::PLAIN,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MediaTypes {
    pub(crate) json: &'static str,
    pub(crate) lines: &'static str,
}

impl MediaTypes {
    pub(crate) const PLAIN: Self = Self {
        json: "application/json",
        lines: "application/x-ndjson",
    };
}

impl fmt::Display for ServerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavor {
            Flavor::Elasticsearch => "Elasticsearch",
            Flavor::Serverless => return f.write_str("Elasticsearch Serverless"),
            Flavor::OpenSearch => "OpenSearch",
            Flavor::TributaryStore => "Tributary store",
        };
        write!(f, "{name} {}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_servers_by_their_answers() {
        let of = |body: &str, product| {
            ServerInfo::of(body.as_bytes(), product)
                .map(|info| (info.flavor, info.media_types().json, info.to_string()))
        };
        let elasticsearch = Some("Elasticsearch");
        assert_eq!(
            of(
                r#"{"version":{"number":"9.4.3","build_flavor":"default"},"tagline":"You Know, for Search"}"#,
                elasticsearch
            ),
            Some((
                Flavor::Elasticsearch,
                "application/vnd.elasticsearch+json; compatible-with=9",
                "Elasticsearch 9.4.3".to_owned()
            ))
        );
        assert_eq!(
            of(
                r#"{"version":{"number":"8.19.8","build_flavor":"default"}}"#,
                elasticsearch
            )
            .unwrap()
            .1,
            "application/vnd.elasticsearch+json; compatible-with=8"
        );
        assert_eq!(
            of(
                r#"{"version":{"number":"8.11.0","build_flavor":"serverless"}}"#,
                elasticsearch
            ),
            Some((
                Flavor::Serverless,
                "application/json",
                "Elasticsearch Serverless".to_owned()
            ))
        );
        assert_eq!(
            of(
                r#"{"version":{"number":"3.8.0","distribution":"opensearch"}}"#,
                None
            ),
            Some((
                Flavor::OpenSearch,
                "application/json",
                "OpenSearch 3.8.0".to_owned()
            ))
        );
        assert_eq!(
            of(
                r#"{"version":{"number":"9.1.0","distribution":"tributary-store"}}"#,
                elasticsearch
            )
            .unwrap()
            .0,
            Flavor::TributaryStore
        );
        for other in [
            "",
            "[]",
            "{}",
            r#"{"version":{"number":"1"}}"#,
            r#"{"version":3}"#,
            "<html>",
        ] {
            assert_eq!(of(other, None), None, "{other}");
        }
    }
}
