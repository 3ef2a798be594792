//! Master keys, from which message keys are derived.

use zeroize::Zeroizing;

/// 32 secret bytes at a fixed location on the heap. They are written in place, never moved, and
/// wiped when they are dropped.
pub(crate) struct Master(Box<Zeroizing<[u8; Master::LEN]>>);

impl Master {
    pub(crate) const LEN: usize = 32;

    /// Lets `fill` write the bytes in place.
    pub(crate) fn fill<E>(fill: impl FnOnce(&mut [u8; Self::LEN]) -> Result<(), E>) -> Result<Self, E> {
        let mut master = Self(Box::default());
        fill(&mut master.0)?;
        Ok(master)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}
