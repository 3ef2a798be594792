//! A provider that fails on demand.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{
    Call, CredentialMetadata, Description, EncryptedData, Operation, Sealed, StorageError, StorageErrorKind,
    StorageProvider, Versioned, Wrapper,
};
use tokio::time::sleep;

/// Wraps any provider and makes selected operations fail, wait or return altered data.
///
/// ```
/// # use cred_core::{CredentialContext, CredentialMetadata, EncryptedData, KeyId};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let (id, here) = ("key".parse()?, CredentialContext::unscoped());
/// # let data = EncryptedData::new(KeyId::new("k")?, [0; 32], [0; 32], [0; 12], vec![1], [0; 16]);
/// # let metadata = CredentialMetadata::default();
/// use cred_conformance::doubles::{Fault, Faulty, Reference};
/// use cred_core::{Operation, Sealed, StorageErrorKind, StorageProvider};
///
/// let provider = Faulty::new(Reference::new());
/// // The store takes effect, but its result is lost.
/// let timeout = StorageErrorKind::Timeout { limit: std::time::Duration::from_secs(1) };
/// provider.once(Operation::Store, Fault::LoseResult(timeout));
///
/// let error = provider.store(&id, data.clone(), metadata.clone(), &here).await.unwrap_err();
/// assert!(error.may_have_written());
/// assert_eq!(provider.retrieve(&id, &here).await?, Sealed::new(data, metadata));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Faulty<P> {
    inner: P,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    next: HashMap<Operation, VecDeque<Fault>>,
    always: HashMap<Operation, Fault>,
}

/// A fault of one operation.
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// Fails with this error without calling the wrapped provider.
    Refuse(StorageErrorKind),
    /// Calls the wrapped provider, drops its result and fails with this error instead.
    LoseResult(StorageErrorKind),
    /// Calls the wrapped provider after this delay.
    Delay(Duration),
    /// Never calls the wrapped provider and never returns.
    Hang,
    /// Changes the data that a read returns. It has no effect on operations that return no stored
    /// data.
    Alter(Alter),
}

/// A function that changes the data that a read returns.
pub type Alter = Arc<dyn Fn(&mut EncryptedData, &mut CredentialMetadata) + Send + Sync>;

impl Fault {
    /// Creates a [`Fault::Alter`] from a function.
    #[must_use]
    pub fn alter(
        change: impl Fn(&mut EncryptedData, &mut CredentialMetadata) + Send + Sync + 'static,
    ) -> Self {
        Self::Alter(Arc::new(change))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(kind) => f.debug_tuple("Refuse").field(kind).finish(),
            Self::LoseResult(kind) => f.debug_tuple("LoseResult").field(kind).finish(),
            Self::Delay(time) => f.debug_tuple("Delay").field(time).finish(),
            Self::Hang => f.write_str("Hang"),
            Self::Alter(_) => f.write_str("Alter(..)"),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Faulty<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script();
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("next", &script.next)
            .field("always", &script.always)
            .finish()
    }
}

impl<P: StorageProvider> Faulty<P> {
    /// Wraps a provider, with no faults.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// Adds the fault for one call of this operation, after the faults that were added before.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.script().next.entry(operation).or_default().push_back(fault);
    }

    /// Sets the fault for every call of this operation, once those of [`Faulty::once`] are used up.
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.script().always.insert(operation, fault);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        *self.script() = Script::default();
    }

    /// Returns the wrapped provider.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        let mut script = self.script();
        let once = script.next.get_mut(&operation).and_then(VecDeque::pop_front);
        once.or_else(|| script.always.get(&operation).cloned())
    }
}

impl<P> Faulty<P> {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: StorageProvider> Wrapper for Faulty<P> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.inner
    }

    fn description(&self) -> &Description {
        self.inner.describe()
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let fails = |kind| Err(call.locate(self.inner.describe(), StorageError::from(kind)));
        match self.next(call.operation) {
            None => answer.await,
            Some(Fault::Refuse(kind)) => fails(kind),
            Some(Fault::LoseResult(kind)) => {
                let _ = answer.await;
                fails(kind)
            }
            Some(Fault::Delay(time)) => {
                sleep(time).await;
                answer.await
            }
            Some(Fault::Hang) => pending().await,
            Some(Fault::Alter(change)) => {
                let mut given = answer.await?;
                alter(&mut given, &change);
                Ok(given)
            }
        }
    }
}

/// Changes the stored data in a result. A result without stored data stays unchanged.
fn alter(answer: &mut dyn Any, change: &Alter) {
    if let Some(Sealed { data, metadata }) = answer.downcast_mut::<Sealed>() {
        change(data, metadata);
    } else if let Some(found) = answer.downcast_mut::<Versioned<Sealed>>() {
        change(&mut found.value.data, &mut found.value.metadata);
    } else if let Some(answers) = answer.downcast_mut::<Vec<Result<Sealed, StorageError>>>() {
        answers.iter_mut().flatten().for_each(|Sealed { data, metadata }| change(data, metadata));
    }
}
