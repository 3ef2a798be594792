//! The stored secrets with their versions, and the state of deletions and recoveries.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::Settings;
use crate::clock::now;
use crate::refusal::Refusal;

const RETENTION_DAYS: u64 = 90;
const DAY: u64 = 24 * 60 * 60;

/// The secrets of a vault, by their names in lower case.
#[derive(Default)]
pub(crate) struct Store {
    secrets: BTreeMap<String, Secret>,
}

struct Secret {
    /// The name in the case of the first write.
    name: String,
    /// The last one is the current one.
    versions: Vec<Version>,
    state: State,
    deleted_at: u64,
}

struct Version {
    id: String,
    value: String,
    properties: Properties,
    created: u64,
    updated: u64,
}

/// The properties of a version, which can be set with it and updated later.
#[derive(Default)]
pub(crate) struct Properties {
    pub(crate) content_type: Option<String>,
    pub(crate) tags: Option<Map<String, Value>>,
    pub(crate) enabled: Option<bool>,
    pub(crate) expires: Option<u64>,
    pub(crate) not_before: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Live,
    /// A deletion is in progress until then, and blocks all changes.
    Deleting(Instant),
    Deleted,
    /// A recovery is in progress. Reads find the secret from the first time on, and writes are
    /// possible from the second time on.
    Recovering(Instant, Instant),
    /// The name is blocked until then.
    Purging(Instant),
}

/// The list to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretList {
    Live,
    Deleted,
}

impl Store {
    pub(crate) fn set(
        &mut self,
        context: &RequestContext<'_>,
        name: &str,
        value: String,
        properties: Properties,
    ) -> Result<Value, Refusal> {
        let now = now();
        let secret = match self.secret(name) {
            Some(secret) => {
                secret.check_writable()?;
                secret
            }
            None => self.secrets.entry(normalized(name)).or_insert_with(|| Secret {
                name: name.to_owned(),
                versions: Vec::new(),
                state: State::Live,
                deleted_at: 0,
            }),
        };
        let id: String = std::iter::repeat_with(|| fastrand::digit(16)).take(32).collect();
        secret.versions.push(Version { id, value, properties, created: now, updated: now });
        secret.bundle(context, None)
    }

    pub(crate) fn get(
        &mut self,
        context: &RequestContext<'_>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Value, Refusal> {
        let secret = self.readable(name)?;
        if !secret.version(version)?.properties.enabled.unwrap_or(true) {
            return Err(Refusal::disabled());
        }
        secret.bundle(context, version)
    }

    pub(crate) fn update(
        &mut self,
        context: &RequestContext<'_>,
        name: &str,
        version: Option<&str>,
        properties: Properties,
    ) -> Result<Value, Refusal> {
        let secret = self.readable(name)?;
        secret.check_writable()?;
        let id = secret.version(version)?.id.clone();
        if let Some(found) = secret.versions.iter_mut().find(|found| found.id == id) {
            found.properties.merge(properties);
            found.updated = now();
        }
        let mut bundle = secret.bundle(context, version)?;
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.remove("value");
        }
        Ok(bundle)
    }

    pub(crate) fn delete(&mut self, context: &RequestContext<'_>, name: &str) -> Result<Value, Refusal> {
        let takes = context.settings.deletion;
        let secret = match self.secret(name) {
            Some(secret) if secret.state == State::Live => secret,
            Some(Secret { state: State::Deleting(_), .. }) => return Err(Refusal::being_deleted(name)),
            Some(Secret { state: State::Recovering(..), .. }) => return Err(Refusal::being_recovered(name)),
            _ => return Err(Refusal::absent(name)),
        };
        secret.state = if takes.is_zero() { State::Deleted } else { State::Deleting(Instant::now() + takes) };
        secret.deleted_at = now();
        secret.deleted_bundle(context)
    }

    pub(crate) fn get_deleted(&mut self, context: &RequestContext<'_>, name: &str) -> Result<Value, Refusal> {
        match self.secret(name) {
            Some(secret) if secret.state == State::Deleted => secret.deleted_bundle(context),
            _ => Err(Refusal::not_deleted(name)),
        }
    }

    pub(crate) fn recover(&mut self, context: &RequestContext<'_>, name: &str) -> Result<Value, Refusal> {
        let takes = context.settings.recovery;
        let secret = self.recoverable(name)?;
        let begin = Instant::now();
        secret.state =
            if takes.is_zero() { State::Live } else { State::Recovering(begin + takes / 2, begin + takes) };
        let mut bundle = secret.bundle(context, None)?;
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.remove("value");
        }
        Ok(bundle)
    }

    pub(crate) fn purge(&mut self, context: &RequestContext<'_>, name: &str) -> Result<(), Refusal> {
        let secret = self.recoverable(name)?;
        if context.settings.purge_protection {
            return Err(Refusal::protected());
        }
        secret.state = State::Purging(Instant::now() + context.settings.purge);
        // Removes the secret now if the purge takes no time.
        self.secret(name);
        Ok(())
    }

    /// Returns a page of a list with the secrets after a name, and the name after which the next
    /// page begins.
    pub(crate) fn list(
        &mut self,
        context: &RequestContext<'_>,
        list: SecretList,
        after: Option<&str>,
        page_size: usize,
    ) -> (Vec<Value>, Option<String>) {
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_owned()));
        let range = (start, Bound::Unbounded);
        let mut page = Vec::new();
        let mut last = None;
        for (key, secret) in self.secrets.range_mut(range) {
            secret.complete_due_changes();
            if !secret.is_on(list) {
                continue;
            }
            if page.len() == page_size {
                return (page, last);
            }
            page.extend(secret.item(context, list));
            last = Some(key.clone());
        }
        (page, None)
    }

    /// Returns a page of the versions of a secret, like [`Store::list`].
    pub(crate) fn versions(
        &mut self,
        context: &RequestContext<'_>,
        name: &str,
        after: usize,
        page_size: usize,
    ) -> Result<(Vec<Value>, Option<String>), Refusal> {
        let secret = self.readable(name)?;
        let versions = secret.versions.iter().skip(after).take(page_size);
        let page: Vec<_> = versions.map(|version| version.item(context, &secret.name, true)).collect();
        let next = after.saturating_add(page.len());
        let more = next < secret.versions.len();
        Ok((page, more.then(|| next.to_string())))
    }

    fn readable(&mut self, name: &str) -> Result<&mut Secret, Refusal> {
        self.secret(name).filter(|secret| secret.is_on(SecretList::Live)).ok_or_else(|| Refusal::absent(name))
    }

    fn recoverable(&mut self, name: &str) -> Result<&mut Secret, Refusal> {
        match self.secret(name) {
            Some(secret) if secret.state == State::Deleted => Ok(secret),
            Some(Secret { state: State::Deleting(_), .. }) => Err(Refusal::being_deleted(name)),
            Some(Secret { state: State::Recovering(..), .. }) => Err(Refusal::being_recovered(name)),
            _ => Err(Refusal::not_deleted(name)),
        }
    }

    /// Returns the secret, after completing the changes that are due.
    fn secret(&mut self, name: &str) -> Option<&mut Secret> {
        let key = normalized(name);
        let secret = self.secrets.get_mut(&key)?;
        secret.complete_due_changes();
        if matches!(secret.state, State::Purging(until) if until <= Instant::now()) {
            self.secrets.remove(&key);
            return None;
        }
        self.secrets.get_mut(&key)
    }
}

impl Secret {
    /// Completes a deletion or recovery whose time is over.
    fn complete_due_changes(&mut self) {
        let now = Instant::now();
        self.state = match self.state {
            State::Deleting(until) if until <= now => State::Deleted,
            State::Recovering(_, until) if until <= now => State::Live,
            state => state,
        };
    }

    fn is_on(&self, list: SecretList) -> bool {
        match self.state {
            State::Live => list == SecretList::Live,
            State::Recovering(read, _) => list == SecretList::Live && read <= Instant::now(),
            State::Deleted => list == SecretList::Deleted,
            State::Deleting(_) | State::Purging(_) => false,
        }
    }

    fn check_writable(&self) -> Result<(), Refusal> {
        match self.state {
            State::Live => Ok(()),
            State::Deleting(_) | State::Purging(_) => Err(Refusal::being_deleted(&self.name)),
            State::Deleted => Err(Refusal::deleted(&self.name)),
            State::Recovering(..) => Err(Refusal::being_recovered(&self.name)),
        }
    }

    fn version(&self, id: Option<&str>) -> Result<&Version, Refusal> {
        let version = match id {
            Some(id) => self.versions.iter().find(|version| version.id == id),
            None => self.versions.last(),
        };
        version.ok_or_else(|| Refusal::absent(&self.name))
    }

    fn bundle(&self, context: &RequestContext<'_>, version: Option<&str>) -> Result<Value, Refusal> {
        let version = self.version(version)?;
        let mut bundle = version.item(context, &self.name, true);
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.insert("value".to_owned(), version.value.clone().into());
        }
        Ok(bundle)
    }

    fn deleted_bundle(&self, context: &RequestContext<'_>) -> Result<Value, Refusal> {
        let version = self.version(None)?;
        Ok(self.with_dates(context, version.item(context, &self.name, true)))
    }

    fn item(&self, context: &RequestContext<'_>, list: SecretList) -> Option<Value> {
        let item = self.versions.last()?.item(context, &self.name, false);
        Some(match list {
            SecretList::Live => item,
            SecretList::Deleted => self.with_dates(context, item),
        })
    }

    fn with_dates(&self, context: &RequestContext<'_>, mut item: Value) -> Value {
        if let Some(item) = item.as_object_mut() {
            let recovery = format!("{}/deletedsecrets/{}", context.base, self.name);
            item.insert("recoveryId".to_owned(), recovery.into());
            item.insert("deletedDate".to_owned(), self.deleted_at.into());
            item.insert("scheduledPurgeDate".to_owned(), (self.deleted_at + RETENTION_DAYS * DAY).into());
        }
        item
    }
}

impl Version {
    fn item(&self, context: &RequestContext<'_>, name: &str, with_version: bool) -> Value {
        let properties = &self.properties;
        let mut id = format!("{}/secrets/{name}", context.base);
        if with_version {
            id = format!("{id}/{}", self.id);
        }
        let level = if context.settings.purge_protection { "Recoverable" } else { "Recoverable+Purgeable" };
        let mut attributes = json!({
            "enabled": properties.enabled.unwrap_or(true),
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": level,
            "recoverableDays": RETENTION_DAYS,
        });
        for (name, time) in [("exp", properties.expires), ("nbf", properties.not_before)] {
            if let (Some(time), Some(attributes)) = (time, attributes.as_object_mut()) {
                attributes.insert(name.to_owned(), time.into());
            }
        }
        let mut item = json!({"id": id, "attributes": attributes});
        if let Some(item) = item.as_object_mut() {
            item.extend(properties.content_type.clone().map(|kind| ("contentType".to_owned(), kind.into())));
            item.extend(properties.tags.clone().map(|tags| ("tags".to_owned(), tags.into())));
        }
        item
    }
}

impl Properties {
    fn merge(&mut self, other: Self) {
        let Self { content_type, tags, enabled, expires, not_before } = other;
        self.content_type = content_type.or(self.content_type.take());
        self.tags = tags.or(self.tags.take());
        self.enabled = enabled.or(self.enabled);
        self.expires = expires.or(self.expires);
        self.not_before = not_before.or(self.not_before);
    }
}

/// The context of a request.
pub(crate) struct RequestContext<'a> {
    /// `https://host:port` from the `Host` header.
    pub(crate) base: String,
    pub(crate) settings: &'a Settings,
}

fn normalized(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    const SHORT: Duration = Duration::from_millis(400);

    fn slow() -> Settings {
        Settings { deletion: SHORT, recovery: SHORT, purge: SHORT, ..Settings::default() }
    }

    fn context(settings: &Settings) -> RequestContext<'_> {
        RequestContext { base: "https://v".to_owned(), settings }
    }

    fn code<T>(result: Result<T, Refusal>) -> String {
        let body = result.err().unwrap().body;
        let error = &body["error"];
        error["innererror"]["code"].as_str().or(error["code"].as_str()).unwrap().to_owned()
    }

    fn put(
        store: &mut Store,
        context: &RequestContext<'_>,
        name: &str,
        value: &str,
    ) -> Result<Value, Refusal> {
        store.set(context, name, value.to_owned(), Properties::default())
    }

    #[tokio::test(start_paused = true)]
    async fn deletions_and_recoveries_take_the_configured_time() {
        let settings = slow();
        let (context, mut store) = (context(&settings), Store::default());
        put(&mut store, &context, "Name", "1").unwrap();
        store.delete(&context, "nAME").unwrap();
        assert_eq!(code(store.get(&context, "name", None)), "SecretNotFound");
        assert_eq!(code(store.get_deleted(&context, "name")), "SecretNotFound");
        for refused in [
            code(put(&mut store, &context, "name", "2")),
            code(store.recover(&context, "name")),
            code(store.purge(&context, "name")),
        ] {
            assert_eq!(refused, "ObjectIsBeingDeleted");
        }
        advance(SHORT).await;
        assert!(store.get_deleted(&context, "name").is_ok());
        assert_eq!(code(put(&mut store, &context, "name", "2")), "ObjectIsDeletedButRecoverable");
        store.recover(&context, "name").unwrap();
        assert_eq!(code(put(&mut store, &context, "name", "2")), "ObjectIsBeingRecovered");
        advance(SHORT / 2).await;
        assert_eq!(
            store.get(&context, "name", None).unwrap()["value"],
            "1",
            "it can be read before it can be written"
        );
        advance(SHORT / 2).await;
        put(&mut store, &context, "name", "2").unwrap();
        assert_eq!(store.versions(&context, "name", 0, 25).unwrap().0.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_purge_blocks_the_name_for_a_while() {
        let settings = Settings { purge: SHORT, ..Settings::default() };
        let (context, mut store) = (context(&settings), Store::default());
        put(&mut store, &context, "name", "1").unwrap();
        store.delete(&context, "name").unwrap();
        store.purge(&context, "name").unwrap();
        assert_eq!(code(store.get_deleted(&context, "name")), "SecretNotFound");
        assert_eq!(code(put(&mut store, &context, "name", "2")), "ObjectIsBeingDeleted");
        advance(SHORT).await;
        put(&mut store, &context, "name", "2").unwrap();
        assert_eq!(store.versions(&context, "name", 0, 25).unwrap().0.len(), 1);
    }

    #[test]
    fn purge_protection_refuses_a_purge() {
        let settings = Settings { purge_protection: true, ..Settings::default() };
        let (context, mut store) = (context(&settings), Store::default());
        put(&mut store, &context, "name", "1").unwrap();
        store.delete(&context, "name").unwrap();
        assert_eq!(code(store.purge(&context, "name")), "Forbidden");
        assert!(store.recover(&context, "name").is_ok());
    }

    #[test]
    fn pages_continue_after_a_name_despite_concurrent_writes() {
        let settings = Settings::default();
        let (context, mut store) = (context(&settings), Store::default());
        for number in 0..5 {
            put(&mut store, &context, &format!("n{number}"), "").unwrap();
        }
        let (page, after) = store.list(&context, SecretList::Live, None, 2);
        assert_eq!((page.len(), after.as_deref()), (2, Some("n1")));
        store.delete(&context, "n1").unwrap();
        put(&mut store, &context, "n0a", "").unwrap();
        let (page, after) = store.list(&context, SecretList::Live, after.as_deref(), 3);
        assert_eq!((page.len(), after), (3, None));
        assert_eq!(store.list(&context, SecretList::Deleted, None, 25).0.len(), 1);
    }
}
