use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{CredentialFilter, CredentialPath, Description, PathRef, StorageResult};
use cred_provider_kit::{Backend, CredentialFile, Executor, ListRange, Provider, Wire};

/// Your SDK's client. Here it is a map, whose names may be any text.
#[derive(Default)]
struct Client(Mutex<BTreeMap<String, Vec<u8>>>);

impl Client {
    async fn put(&self, name: &str, envelope: &[u8]) -> StorageResult<()> {
        self.names().insert(name.to_owned(), envelope.to_owned());
        Ok(())
    }

    async fn get(&self, name: &str) -> StorageResult<Option<Vec<u8>>> {
        Ok(self.names().get(name).cloned())
    }

    async fn delete(&self, name: &str) -> StorageResult<()> {
        self.names().remove(name);
        Ok(())
    }

    async fn list(&self) -> StorageResult<Vec<String>> {
        Ok(self.names().keys().cloned().collect())
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct MyBackend {
    client: Client,
}

pub(crate) fn open() -> Provider<MyBackend> {
    let description = Description::new("mine", Duration::from_secs(30));
    Provider::new(Executor::new(description, Duration::from_secs(5)), MyBackend::default())
}

impl Backend for MyBackend {
    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        // Once, so that all attempts write the same.
        let (name, envelope) = (&path.to_string(), &file.encode_within(wire.description(), path)?);
        wire.write(|_| self.client.put(name, envelope)).await
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        let name = &path.to_string();
        let envelope = wire.read(|_| self.client.get(name)).await?;
        envelope.map(|envelope| CredentialFile::decode(&envelope)).transpose()
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &path.to_string();
        wire.write(|_| self.client.delete(name)).await
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        _: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let names = wire.read(|_| self.client.list()).await?;
        // A name that is not a path belongs to other software.
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// Prints neither the stored data nor the credentials of the backend.
impl fmt::Debug for MyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MyBackend").finish_non_exhaustive()
    }
}
