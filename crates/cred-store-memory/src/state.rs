//! What is stored, in the encoded form that a backend would hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use cred_core::{CredentialContext, CredentialId, CredentialPath, Revision, ScopeId};

/// All scopes with their credentials.
#[derive(Default)]
pub(crate) struct State {
    scopes: BTreeMap<Option<ScopeId>, BTreeMap<CredentialId, Slot>>,
    writes: u64,
}

/// What is known of one path. A slot with neither is taken away.
#[derive(Default)]
struct Slot {
    live: Option<Entry>,
    deleted: Option<Entry>,
}

/// One stored value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) payload: Arc<[u8]>,
    pub(crate) revision: Revision,
}

impl State {
    pub(crate) fn get(&self, id: &CredentialId, ctx: &CredentialContext) -> Option<&Entry> {
        self.slot(id, ctx)?.live.as_ref()
    }

    /// Stores a payload under a revision that was never given before, and forgets a deleted value.
    pub(crate) fn put(&mut self, id: &CredentialId, ctx: &CredentialContext, payload: Arc<[u8]>) -> Revision {
        self.writes = self.writes.saturating_add(1);
        let revision = Revision::new(self.writes.to_string());
        let slot = self.scopes.entry(ctx.scope_id.clone()).or_default().entry(id.clone()).or_default();
        *slot = Slot { live: Some(Entry { payload, revision: revision.clone() }), deleted: None };
        revision
    }

    /// Deletes the live value; keeps it recoverable if `soft`.
    pub(crate) fn delete(&mut self, id: &CredentialId, ctx: &CredentialContext, soft: bool) {
        if let Some(slot) = self.slot_mut(id, ctx) {
            let live = slot.live.take();
            if soft && live.is_some() {
                slot.deleted = live;
            }
        }
        self.sweep(id, ctx);
    }

    /// Brings the deleted value back under a new revision; false if there is none.
    pub(crate) fn recover(&mut self, id: &CredentialId, ctx: &CredentialContext) -> bool {
        match self.slot_mut(id, ctx).and_then(|slot| slot.deleted.take()) {
            Some(deleted) => {
                self.put(id, ctx, deleted.payload);
                true
            }
            None => false,
        }
    }

    /// Forgets the deleted value.
    pub(crate) fn purge(&mut self, id: &CredentialId, ctx: &CredentialContext) {
        if let Some(slot) = self.slot_mut(id, ctx) {
            slot.deleted = None;
        }
        self.sweep(id, ctx);
    }

    pub(crate) fn deleted_ids(&self, ctx: &CredentialContext) -> Vec<CredentialId> {
        let Some(slots) = self.scopes.get(&ctx.scope_id) else { return Vec::new() };
        slots.iter().filter(|(_, slot)| slot.deleted.is_some()).map(|(id, _)| id.clone()).collect()
    }

    /// The live values of exactly this scope.
    pub(crate) fn scope(&self, ctx: &CredentialContext) -> Vec<(CredentialPath, Entry)> {
        self.scopes
            .get(&ctx.scope_id)
            .into_iter()
            .flat_map(|slots| live(ctx.scope_id.as_ref(), slots))
            .collect()
    }

    /// The live values of this scope and below it; of everything without a scope.
    pub(crate) fn tree(&self, ctx: &CredentialContext) -> Vec<(CredentialPath, Entry)> {
        let within = |scope: &Option<ScopeId>| match (&ctx.scope_id, scope) {
            (None, _) => true,
            (Some(root), Some(scope)) => root.contains(scope),
            (Some(_), None) => false,
        };
        self.scopes
            .iter()
            .filter(|(scope, _)| within(scope))
            .flat_map(|(scope, slots)| live(scope.as_ref(), slots))
            .collect()
    }

    fn slot(&self, id: &CredentialId, ctx: &CredentialContext) -> Option<&Slot> {
        self.scopes.get(&ctx.scope_id)?.get(id)
    }

    fn slot_mut(&mut self, id: &CredentialId, ctx: &CredentialContext) -> Option<&mut Slot> {
        self.scopes.get_mut(&ctx.scope_id)?.get_mut(id)
    }

    /// Takes an empty slot and an empty scope away.
    fn sweep(&mut self, id: &CredentialId, ctx: &CredentialContext) {
        let Some(slots) = self.scopes.get_mut(&ctx.scope_id) else { return };
        if slots.get(id).is_some_and(|slot| slot.live.is_none() && slot.deleted.is_none()) {
            slots.remove(id);
        }
        if slots.is_empty() {
            self.scopes.remove(&ctx.scope_id);
        }
    }
}

fn live<'a>(
    scope: Option<&'a ScopeId>,
    slots: &'a BTreeMap<CredentialId, Slot>,
) -> impl Iterator<Item = (CredentialPath, Entry)> + 'a {
    slots.iter().filter_map(move |(id, slot)| {
        let entry = slot.live.clone()?;
        Some((CredentialPath::new(scope.cloned(), id.clone()), entry))
    })
}
