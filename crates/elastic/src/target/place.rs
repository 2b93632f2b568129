//! What the configured name stands for: found out before the job, and looked at again while it runs.

use super::{ElasticTarget, room::Limits};
use crate::{
    RequestErrorKind,
    path::{path, with},
    transport::Request,
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};
use tributary_engine::{TargetError, TargetErrorKind};

/// A job that only writes looks at the latest after this time whether its index is still the same.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl ElasticTarget {
    /// Creates the index unless it is there; notes whether the name is an alias.
    pub(super) async fn resolve_or_create(&self) -> Result<(), TargetError> {
        let what = format!("use the index {}", self.index);
        let refuse = |why: String| Err(self.error(TargetErrorKind::Rejected, &what, &why));
        let request = Request::get(path(&["_resolve", "index", &self.index]), &what);
        // Elasticsearch answers 404 if nothing has this name, OpenSearch an empty list.
        let resolved = match self.client.send_once(&request).await {
            Ok(reply) => self.parse::<Resolved>(&reply.body, &what)?,
            Err(error) if error.is(RequestErrorKind::NotFound) => Resolved::default(),
            // Our own store knows indices only.
            Err(error) if error.is(RequestErrorKind::Unsupported) => {
                return self.create_unless_there(&what).await;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(stream) = resolved.data_streams.first() {
            return refuse(format!(
                "{} is a data stream, which takes no changes; configure a plain index",
                stream.name
            ));
        }
        if let Some(alias) = resolved
            .aliases
            .iter()
            .find(|alias| alias.name == self.index)
        {
            return self.resolve_alias(alias, &what).await;
        }
        if let Some(index) = resolved
            .indices
            .iter()
            .find(|index| index.name == self.index)
        {
            if index
                .attributes
                .iter()
                .any(|attribute| attribute == "closed")
            {
                return Err(self.error(
                    TargetErrorKind::Blocked,
                    &what,
                    "the index is closed; open it",
                ));
            }
            return Ok(());
        }
        if let Some(other) = resolved.indices.first() {
            return refuse(format!(
                "the name stands for {} indices, such as {}; configure the name of one index",
                resolved.indices.len(),
                other.name
            ));
        }
        self.create().await
    }

    /// Notes which index the name stands for, and looks how much room its mapping has. Nothing of this
    /// fails a job: where it may not be asked, it is not known.
    pub(super) async fn look_around(&self) -> Result<(), TargetError> {
        let what = format!("read the settings of the index {}", self.index);
        let at = path(&[&self.index, "_settings", "index.uuid,index.mapping.*"]);
        let at = with(at, "flat_settings", "true");
        let at = with(at, "include_defaults", "true");
        let reply = match self.client.send_once(&Request::get(at, &what)).await {
            Ok(reply) => reply,
            Err(error) if error.may_pass() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "how much room the index has is not known");
                return Ok(());
            }
        };
        let Some(about) = the_only(&reply.body) else {
            return Ok(());
        };
        *self.uuid.lock().unwrap_or_else(PoisonError::into_inner) = about.uuid();
        let limits = Limits::of(&about.settings, &about.defaults);
        let at = path(&[&self.index, "_mapping"]);
        let what = format!("read the mapping of the index {}", self.index);
        let findings = match self.client.send_once(&Request::get(at, &what)).await {
            Ok(reply) => the_only(&reply.body)
                .map(|about| limits.findings(&self.index, &about.mappings))
                .unwrap_or_default(),
            Err(error) if error.may_pass() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "how much room the index has is not known");
                Vec::new()
            }
        };
        for finding in &findings {
            tracing::warn!(index = self.index, "{finding}");
        }
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = findings;
        Ok(())
    }

    /// Makes sure that the name stands for the index that the job began with.
    ///
    /// A bulk request makes an index that is missing, and there is no way to forbid it that: after a
    /// deletion the rest of the documents would stand alone in an index with a mapping of the server's
    /// making.
    pub(super) async fn is_still_the_same(&self) -> Result<(), TargetError> {
        let uuid = self
            .uuid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(expected) = uuid else {
            return Ok(());
        };
        let what = format!("go on writing to the index {}", self.index);
        let at = path(&[&self.index, "_settings", "index.uuid"]);
        let at = with(at, "flat_settings", "true");
        let why = match self.client.send_once(&Request::get(at, &what)).await {
            Ok(reply) => match the_only(&reply.body) {
                Some(about) if about.uuid().is_none_or(|uuid| uuid == expected) => return Ok(()),
                // Of an alias, what it was for the job is gone, too, if it stands for several now.
                _ => format!(
                    "another index has the name {} now: while the sync ran, the index it began with was \
                     deleted and made anew (a write after a deletion does that), or the name was given to \
                     another one. What was written before is not in it",
                    self.index
                ),
            },
            Err(error) if error.is(RequestErrorKind::NotFound) => {
                "it was deleted, or its alias taken away, while the sync ran".to_owned()
            }
            Err(error) if error.may_pass() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "whether the index is still the same is not known");
                return Ok(());
            }
        };
        Err(self.error(
            TargetErrorKind::NotFound,
            &what,
            &format!(
                "{why}. Nothing was deleted; see to the index and its mapping, and start a full sync"
            ),
        ))
    }

    /// After a bulk request: looks, if there is reason to. `is_first`: the answer has the first write of
    /// a shard in it, so the index may have come into being by that very request.
    pub(super) async fn look_again(&self, is_first: bool) -> Result<(), TargetError> {
        let now = self.client.clock().now().as_millis() as u64;
        let last = self.looked_at.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(last) >= LOOK_EVERY.as_millis() as u64;
        if !is_first && !is_due {
            return Ok(());
        }
        // Of requests side by side, one looks.
        let is_mine = self
            .looked_at
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if !is_first && !is_mine {
            return Ok(());
        }
        match self.is_still_the_same().await {
            Err(error) if error.kind == TargetErrorKind::NotFound => Err(error),
            // The documents are written; the next look or the scan finds out.
            Err(error) => {
                tracing::debug!(%error, "whether the index is still the same is not known");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn resolve_alias(&self, alias: &Alias, what: &str) -> Result<(), TargetError> {
        if alias.indices.len() != 1 {
            return Err(self.error(
                TargetErrorKind::Rejected,
                what,
                &format!(
                    "it is an alias of {} indices ({}); a sync must know which documents are there, \
                     so the alias must stand for exactly one",
                    alias.indices.len(),
                    alias.indices.join(", ")
                ),
            ));
        }
        let request = Request::get(path(&[&self.index, "_alias", &self.index]), what);
        let reply = self.client.send_once(&request).await?;
        let aliases: serde_json::Value = self.parse(&reply.body, what)?;
        let pointer = format!(
            "/{}/aliases/{}/is_write_index",
            pointer_part(&alias.indices[0]),
            pointer_part(&self.index)
        );
        if aliases.pointer(&pointer) == Some(&serde_json::Value::Bool(false)) {
            return Err(self.error(
                TargetErrorKind::Rejected,
                what,
                &format!(
                    "it is an alias of {} that takes no writes (is_write_index is false)",
                    alias.indices[0]
                ),
            ));
        }
        self.is_alias.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn create_unless_there(&self, what: &str) -> Result<(), TargetError> {
        let request = Request::new(Method::HEAD, path(&[&self.index]), what);
        match self.client.send_once(&request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is(RequestErrorKind::NotFound) => self.create().await,
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self) -> Result<(), TargetError> {
        let what = format!("create the index {}", self.index);
        let request = Request::put(path(&[&self.index]), &what);
        match self.client.send_once(&request).await {
            Ok(_) => Ok(()),
            // Somebody was faster, or our own earlier request was carried out.
            Err(error) if error.server_kind == "resource_already_exists_exception" => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A name as a part of a JSON pointer (RFC 6901 §3).
fn pointer_part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What is said about one index.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    settings: Value,
    defaults: Value,
    mappings: Value,
}

impl About {
    fn uuid(&self) -> Option<String> {
        self.settings.get("index.uuid")?.as_str().map(str::to_owned)
    }
}

/// What is said about the one index that a name stands for.
fn the_only(body: &[u8]) -> Option<About> {
    let mut all: HashMap<String, About> = serde_json::from_slice(body).ok()?;
    let name = all.keys().next()?.clone();
    (all.len() == 1).then(|| all.remove(&name)).flatten()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resolved {
    indices: Vec<Named>,
    aliases: Vec<Alias>,
    data_streams: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    attributes: Vec<String>,
}

#[derive(Deserialize)]
struct Alias {
    name: String,
    indices: Vec<String>,
}
