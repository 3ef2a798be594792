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
//! Layers can refuse operations, but never move a credential: sealing binds it to its path. A
//! wrapped provider has exactly the abilities of the inner provider. Operations that a layer
//! refuses are not in any metrics; the inner provider still counts the operations that reach it.
//!
//! [`HotSwap`] is not a layer, but a provider whose inner provider can be replaced.

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
