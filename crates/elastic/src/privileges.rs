//! Which privileges are missing, asked beforehand.

use crate::{RequestError, RequestErrorKind, client::Client, path::path, transport::Request};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Privileges that something needs.
#[derive(Clone, Debug, Default)]
pub struct NeededPrivileges {
    /// On the cluster, such as `monitor`.
    pub cluster: Vec<String>,
    /// On indices: a name or pattern, and privileges such as `write`.
    pub indices: Vec<(String, Vec<String>)>,
}

impl NeededPrivileges {
    /// What a sync into these content indices needs; with the identities, name their indices too.
    /// `protected`: documents carry permissions, so a field must be mapped.
    pub fn of_content<'a>(indices: impl IntoIterator<Item = &'a str>, protected: bool) -> Self {
        let mut privileges = vec![
            "read",
            "write",
            "create_index",
            "view_index_metadata",
            "maintenance",
        ];
        if protected {
            privileges.push("manage");
        }
        let privileges: Vec<_> = privileges.into_iter().map(str::to_owned).collect();
        Self {
            cluster: Vec::new(),
            indices: indices
                .into_iter()
                .map(|index| (index.to_owned(), privileges.clone()))
                .collect(),
        }
    }

    /// What the records of connectors and sync jobs need.
    pub fn of_records() -> Self {
        let privileges = [
            "read",
            "write",
            "create_index",
            "manage",
            "view_index_metadata",
        ];
        Self {
            cluster: vec!["monitor".to_owned()],
            indices: [".elastic-connectors", ".elastic-connectors-sync-jobs"]
                .map(|index| {
                    let privileges = privileges.map(str::to_owned).to_vec();
                    (format!("{index}-v1"), privileges)
                })
                .to_vec(),
        }
    }
}

/// Privileges that are missing on one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPrivileges {
    /// The index or pattern; `None` = the cluster.
    pub index: Option<String>,
    /// Their names.
    pub privileges: Vec<String>,
}

impl std::fmt::Display for MissingPrivileges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let privileges = self.privileges.join(", ");
        match &self.index {
            Some(index) => write!(f, "{privileges} on the index {index}"),
            None => write!(f, "{privileges} on the cluster"),
        }
    }
}

#[derive(Deserialize)]
struct Held {
    #[serde(default)]
    cluster: BTreeMap<String, bool>,
    #[serde(default)]
    index: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Client {
    /// Which of these privileges our credentials lack. `None` if the server has no such call: without
    /// security, or OpenSearch.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn missing_privileges(
        &self,
        needed: &NeededPrivileges,
    ) -> Result<Option<Vec<MissingPrivileges>>, RequestError> {
        let what = "ask for our privileges";
        let indices: Vec<_> = needed
            .indices
            .iter()
            .map(|(index, privileges)| json!({"names": [index], "privileges": privileges}))
            .collect();
        let body = json!({"cluster": needed.cluster, "index": indices});
        let request =
            Request::post(path(&["_security", "user", "_has_privileges"]), what).json(&body);
        let reply = match self.send(&request).await {
            Ok(reply) => reply,
            Err(error) if is_without_security(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let held: Held = serde_json::from_slice(&reply.body).map_err(|error| {
            RequestError::new(
                RequestErrorKind::Interrupted,
                format!(
                    "cannot {what} at {}: the answer cannot be read: {error}",
                    self.address()
                ),
            )
        })?;
        let mut missing = Vec::new();
        for (index, privileges) in [(None, held.cluster)].into_iter().chain(
            held.index
                .into_iter()
                .map(|(index, held)| (Some(index), held)),
        ) {
            let privileges: Vec<_> = privileges
                .into_iter()
                .filter_map(|(privilege, is_held)| (!is_held).then_some(privilege))
                .collect();
            if !privileges.is_empty() {
                missing.push(MissingPrivileges { index, privileges });
            }
        }
        Ok(Some(missing))
    }
}

/// The call is not there, or there is nobody to ask about: security is off.
fn is_without_security(error: &RequestError) -> bool {
    error.is(RequestErrorKind::Unsupported)
        || error.reason.contains("ecurity is not enabled")
        || error.reason.contains("ecurity must be explicitly enabled")
}
