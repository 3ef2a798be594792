//! Wrappers over any provider: each is a [`Layer`], and [`Layered`] forwards everything else.
//!
//! ```
//! # use std::sync::Arc;
//! # use cred_core::{ScopeId, StorageProvider};
//! use cred_provider_kit::layers::{Layered, ReadOnly, ScopeJail};
//!
//! # fn wrap(provider: Arc<dyn StorageProvider>) -> Result<(), Box<dyn std::error::Error>> {
//! let jail = ScopeJail::new("org:acme".parse()?);
//! let provider = Layered::new(Layered::new(provider, jail), ReadOnly);
//! # Ok(())
//! # }
//! ```
//!
//! Layers refuse, and never put a credential elsewhere: sealing binds it to its path. A wrapped
//! provider has exactly the abilities of the one inside. Operations that a layer refuses are in no
//! metrics; those of the provider inside go on counting what reaches it.
//!
//! [`HotSwap`] is no layer but a provider whose inside can be exchanged.

mod concurrency;
mod hot_swap;
mod layered;
mod read_only;
mod scope_jail;
mod timeout;

pub use concurrency::ConcurrencyLimit;
pub use hot_swap::HotSwap;
pub use layered::{Layer, Layered};
pub use read_only::ReadOnly;
pub use scope_jail::ScopeJail;
pub use timeout::Timeout;
