//! What the vault keeps: secrets with versions, and how far their deletion or recovery has come.

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
    /// As it was first written.
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

/// What may be said of a version when it is set, and later.
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
    /// Until then nothing can be done to it; then it is deleted.
    Deleting(Instant),
    Deleted,
    /// Reads find it from the first moment on, writes must wait for the second.
    Recovering(Instant, Instant),
    /// Until then the name is blocked.
    Purging(Instant),
}

/// Which of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Live,
    Deleted,
}

impl Store {
    pub(crate) fn set(
        &mut self,
        at: &Place<'_>,
        name: &str,
        value: String,
        properties: Properties,
    ) -> Result<Value, Refusal> {
        let now = now();
        let secret = match self.settled(name) {
            Some(secret) => {
                secret.may_be_written()?;
                secret
            }
            None => self.secrets.entry(key(name)).or_insert_with(|| Secret {
                name: name.to_owned(),
                versions: Vec::new(),
                state: State::Live,
                deleted_at: 0,
            }),
        };
        let id: String = std::iter::repeat_with(|| fastrand::digit(16)).take(32).collect();
        secret.versions.push(Version { id, value, properties, created: now, updated: now });
        secret.bundle(at, None)
    }

    pub(crate) fn get(
        &mut self,
        at: &Place<'_>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Value, Refusal> {
        let secret = self.readable(name)?;
        if !secret.version(version)?.properties.enabled.unwrap_or(true) {
            return Err(Refusal::disabled());
        }
        secret.bundle(at, version)
    }

    pub(crate) fn update(
        &mut self,
        at: &Place<'_>,
        name: &str,
        version: Option<&str>,
        properties: Properties,
    ) -> Result<Value, Refusal> {
        let secret = self.readable(name)?;
        secret.may_be_written()?;
        let id = secret.version(version)?.id.clone();
        if let Some(found) = secret.versions.iter_mut().find(|found| found.id == id) {
            found.properties.merge(properties);
            found.updated = now();
        }
        let mut bundle = secret.bundle(at, version)?;
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.remove("value");
        }
        Ok(bundle)
    }

    pub(crate) fn delete(&mut self, at: &Place<'_>, name: &str) -> Result<Value, Refusal> {
        let takes = at.settings.deletion;
        let secret = match self.settled(name) {
            Some(secret) if secret.state == State::Live => secret,
            Some(Secret { state: State::Deleting(_), .. }) => return Err(Refusal::being_deleted(name)),
            Some(Secret { state: State::Recovering(..), .. }) => return Err(Refusal::being_recovered(name)),
            _ => return Err(Refusal::absent(name)),
        };
        secret.state = if takes.is_zero() { State::Deleted } else { State::Deleting(Instant::now() + takes) };
        secret.deleted_at = now();
        secret.deleted_bundle(at)
    }

    pub(crate) fn get_deleted(&mut self, at: &Place<'_>, name: &str) -> Result<Value, Refusal> {
        match self.settled(name) {
            Some(secret) if secret.state == State::Deleted => secret.deleted_bundle(at),
            _ => Err(Refusal::not_deleted(name)),
        }
    }

    pub(crate) fn recover(&mut self, at: &Place<'_>, name: &str) -> Result<Value, Refusal> {
        let takes = at.settings.recovery;
        let secret = self.recoverable(name)?;
        let begin = Instant::now();
        secret.state =
            if takes.is_zero() { State::Live } else { State::Recovering(begin + takes / 2, begin + takes) };
        let mut bundle = secret.bundle(at, None)?;
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.remove("value");
        }
        Ok(bundle)
    }

    pub(crate) fn purge(&mut self, at: &Place<'_>, name: &str) -> Result<(), Refusal> {
        let secret = self.recoverable(name)?;
        if at.settings.purge_protection {
            return Err(Refusal::protected());
        }
        secret.state = State::Purging(Instant::now() + at.settings.purge);
        // Settled at once where it takes no time.
        self.settled(name);
        Ok(())
    }

    /// A page of a list: what comes after a name, and the name to go on after.
    pub(crate) fn list(
        &mut self,
        at: &Place<'_>,
        shelf: Shelf,
        after: Option<&str>,
        most: usize,
    ) -> (Vec<Value>, Option<String>) {
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_owned()));
        let range = (start, Bound::Unbounded);
        let mut page = Vec::new();
        let mut last = None;
        for (key, secret) in self.secrets.range_mut(range) {
            secret.settle();
            if !secret.is_on(shelf) {
                continue;
            }
            if page.len() == most {
                return (page, last);
            }
            page.extend(secret.item(at, shelf));
            last = Some(key.clone());
        }
        (page, None)
    }

    /// As a list, of the versions of a secret.
    pub(crate) fn versions(
        &mut self,
        at: &Place<'_>,
        name: &str,
        after: usize,
        most: usize,
    ) -> Result<(Vec<Value>, Option<String>), Refusal> {
        let secret = self.readable(name)?;
        let versions = secret.versions.iter().skip(after).take(most);
        let page: Vec<_> = versions.map(|version| version.item(at, &secret.name, true)).collect();
        let next = after.saturating_add(page.len());
        let more = next < secret.versions.len();
        Ok((page, more.then(|| next.to_string())))
    }

    fn readable(&mut self, name: &str) -> Result<&mut Secret, Refusal> {
        self.settled(name).filter(|secret| secret.is_on(Shelf::Live)).ok_or_else(|| Refusal::absent(name))
    }

    fn recoverable(&mut self, name: &str) -> Result<&mut Secret, Refusal> {
        match self.settled(name) {
            Some(secret) if secret.state == State::Deleted => Ok(secret),
            Some(Secret { state: State::Deleting(_), .. }) => Err(Refusal::being_deleted(name)),
            Some(Secret { state: State::Recovering(..), .. }) => Err(Refusal::being_recovered(name)),
            _ => Err(Refusal::not_deleted(name)),
        }
    }

    /// The secret as it is now.
    fn settled(&mut self, name: &str) -> Option<&mut Secret> {
        let key = key(name);
        let secret = self.secrets.get_mut(&key)?;
        secret.settle();
        if matches!(secret.state, State::Purging(until) if until <= Instant::now()) {
            self.secrets.remove(&key);
            return None;
        }
        self.secrets.get_mut(&key)
    }
}

impl Secret {
    fn settle(&mut self) {
        let now = Instant::now();
        self.state = match self.state {
            State::Deleting(until) if until <= now => State::Deleted,
            State::Recovering(_, until) if until <= now => State::Live,
            state => state,
        };
    }

    fn is_on(&self, shelf: Shelf) -> bool {
        match self.state {
            State::Live => shelf == Shelf::Live,
            State::Recovering(read, _) => shelf == Shelf::Live && read <= Instant::now(),
            State::Deleted => shelf == Shelf::Deleted,
            State::Deleting(_) | State::Purging(_) => false,
        }
    }

    fn may_be_written(&self) -> Result<(), Refusal> {
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

    fn bundle(&self, at: &Place<'_>, version: Option<&str>) -> Result<Value, Refusal> {
        let version = self.version(version)?;
        let mut bundle = version.item(at, &self.name, true);
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.insert("value".to_owned(), version.value.clone().into());
        }
        Ok(bundle)
    }

    fn deleted_bundle(&self, at: &Place<'_>) -> Result<Value, Refusal> {
        let version = self.version(None)?;
        Ok(self.with_dates(at, version.item(at, &self.name, true)))
    }

    fn item(&self, at: &Place<'_>, shelf: Shelf) -> Option<Value> {
        let item = self.versions.last()?.item(at, &self.name, false);
        Some(match shelf {
            Shelf::Live => item,
            Shelf::Deleted => self.with_dates(at, item),
        })
    }

    fn with_dates(&self, at: &Place<'_>, mut item: Value) -> Value {
        if let Some(item) = item.as_object_mut() {
            let recovery = format!("{}/deletedsecrets/{}", at.base, self.name);
            item.insert("recoveryId".to_owned(), recovery.into());
            item.insert("deletedDate".to_owned(), self.deleted_at.into());
            item.insert("scheduledPurgeDate".to_owned(), (self.deleted_at + RETENTION_DAYS * DAY).into());
        }
        item
    }
}

impl Version {
    fn item(&self, at: &Place<'_>, name: &str, with_version: bool) -> Value {
        let properties = &self.properties;
        let mut id = format!("{}/secrets/{name}", at.base);
        if with_version {
            id = format!("{id}/{}", self.id);
        }
        let level = if at.settings.purge_protection { "Recoverable" } else { "Recoverable+Purgeable" };
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

/// Where a request came to.
pub(crate) struct Place<'a> {
    /// `https://host:port` as the client called it.
    pub(crate) base: String,
    pub(crate) settings: &'a Settings,
}

fn key(name: &str) -> String {
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

    fn at(settings: &Settings) -> Place<'_> {
        Place { base: "https://v".to_owned(), settings }
    }

    fn code<T>(result: Result<T, Refusal>) -> String {
        let body = result.err().unwrap().body;
        let error = &body["error"];
        error["innererror"]["code"].as_str().or(error["code"].as_str()).unwrap().to_owned()
    }

    fn put(store: &mut Store, at: &Place<'_>, name: &str, value: &str) -> Result<Value, Refusal> {
        store.set(at, name, value.to_owned(), Properties::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_and_a_recovery_take_their_time() {
        let settings = slow();
        let (at, mut store) = (at(&settings), Store::default());
        put(&mut store, &at, "Name", "1").unwrap();
        store.delete(&at, "nAME").unwrap();
        assert_eq!(code(store.get(&at, "name", None)), "SecretNotFound");
        assert_eq!(code(store.get_deleted(&at, "name")), "SecretNotFound");
        for refused in [
            code(put(&mut store, &at, "name", "2")),
            code(store.recover(&at, "name")),
            code(store.purge(&at, "name")),
        ] {
            assert_eq!(refused, "ObjectIsBeingDeleted");
        }
        advance(SHORT).await;
        assert!(store.get_deleted(&at, "name").is_ok());
        assert_eq!(code(put(&mut store, &at, "name", "2")), "ObjectIsDeletedButRecoverable");
        store.recover(&at, "name").unwrap();
        assert_eq!(code(put(&mut store, &at, "name", "2")), "ObjectIsBeingRecovered");
        advance(SHORT / 2).await;
        assert_eq!(store.get(&at, "name", None).unwrap()["value"], "1", "read before it can be written");
        advance(SHORT / 2).await;
        put(&mut store, &at, "name", "2").unwrap();
        assert_eq!(store.versions(&at, "name", 0, 25).unwrap().0.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_purge_blocks_the_name_for_a_while() {
        let settings = Settings { purge: SHORT, ..Settings::default() };
        let (at, mut store) = (at(&settings), Store::default());
        put(&mut store, &at, "name", "1").unwrap();
        store.delete(&at, "name").unwrap();
        store.purge(&at, "name").unwrap();
        assert_eq!(code(store.get_deleted(&at, "name")), "SecretNotFound");
        assert_eq!(code(put(&mut store, &at, "name", "2")), "ObjectIsBeingDeleted");
        advance(SHORT).await;
        put(&mut store, &at, "name", "2").unwrap();
        assert_eq!(store.versions(&at, "name", 0, 25).unwrap().0.len(), 1);
    }

    #[test]
    fn purge_protection_forbids_it() {
        let settings = Settings { purge_protection: true, ..Settings::default() };
        let (at, mut store) = (at(&settings), Store::default());
        put(&mut store, &at, "name", "1").unwrap();
        store.delete(&at, "name").unwrap();
        assert_eq!(code(store.purge(&at, "name")), "Forbidden");
        assert!(store.recover(&at, "name").is_ok());
    }

    #[test]
    fn pages_go_on_after_a_name_whatever_is_written_meanwhile() {
        let settings = Settings::default();
        let (at, mut store) = (at(&settings), Store::default());
        for number in 0..5 {
            put(&mut store, &at, &format!("n{number}"), "").unwrap();
        }
        let (page, after) = store.list(&at, Shelf::Live, None, 2);
        assert_eq!((page.len(), after.as_deref()), (2, Some("n1")));
        store.delete(&at, "n1").unwrap();
        put(&mut store, &at, "n0a", "").unwrap();
        let (page, after) = store.list(&at, Shelf::Live, after.as_deref(), 3);
        assert_eq!((page.len(), after), (3, None));
        assert_eq!(store.list(&at, Shelf::Deleted, None, 25).0.len(), 1);
    }
}
