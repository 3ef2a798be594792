//! Flaws of physical names. A flawed provider stores a path at another path, its place.

use std::hash::{DefaultHasher, Hash, Hasher};

use cred_core::{CredentialId, CredentialPath, ScopeId};

use crate::flaw::Flaw;

/// Returns the place at which a flawed provider stores the path.
pub(crate) fn place_of(flaw: Option<Flaw>, path: &CredentialPath) -> CredentialPath {
    let scope = path.scope.as_ref().map(ScopeId::as_str);
    let id = path.id.as_str();
    let (scope, id) = match flaw {
        Some(Flaw::KeyedByIdAlone) => (None, id.to_owned()),
        Some(Flaw::KeyedByLastScopePart) => {
            (scope.and_then(|scope| scope.rsplit('/').next()).map(str::to_owned), id.to_owned())
        }
        Some(Flaw::LowercasesIds) => (scope.map(str::to_owned), id.to_lowercase()),
        Some(Flaw::LowercasesScopes) => (scope.map(str::to_lowercase), id.to_owned()),
        Some(Flaw::HyphensForUnderscores) => {
            (scope.map(|scope| scope.replace('_', "-")), id.replace('_', "-"))
        }
        Some(Flaw::HyphensForDots) => (scope.map(|scope| scope.replace('.', "-")), id.to_owned()),
        Some(Flaw::CutsIdsAt63) => (scope.map(str::to_owned), cut(id, 63)),
        Some(Flaw::CutsIdsAt254) => (scope.map(str::to_owned), cut(id, 254)),
        Some(Flaw::CutsScopesAt255) => {
            let cut = |scope: &str| match scope.len() {
                256.. => format!("cut:{}", hash(&cut(scope, 255))),
                _ => scope.to_owned(),
            };
            (scope.map(cut), id.to_owned())
        }
        Some(Flaw::JoinsScopeAndIdByHyphens) => match scope {
            Some(scope) => (None, fit(&format!("{}-{id}", scope.replace([':', '/', '.'], "-")))),
            None => (None, id.to_owned()),
        },
        Some(Flaw::EscapesWithoutEscapingTheEscape) => {
            let escaped = id.chars().map(|letter| match letter {
                'A'..='Z' => format!("_{}", letter.to_ascii_lowercase()),
                letter => letter.to_string(),
            });
            (scope.map(str::to_owned), fit(&escaped.collect::<String>()))
        }
        Some(Flaw::HexForOddNames) if id.bytes().any(|byte| !byte.is_ascii_lowercase()) => {
            let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
            (scope.map(str::to_owned), fit(&hex))
        }
        Some(Flaw::HashesLongIdsIntoPlainNames) if id.len() > 100 => (scope.map(str::to_owned), hash(id)),
        _ => (scope.map(str::to_owned), id.to_owned()),
    };
    let scope = scope.map(|scope| scope.parse().unwrap_or_else(|_| panic!("a mutant's scope: {scope}")));
    CredentialPath::new(scope, CredentialId::new(id).unwrap())
}

fn cut(text: &str, len: usize) -> String {
    text.chars().take(len).collect()
}

/// Hashes a name that became too long, under a prefix that no other name has.
fn fit(name: &str) -> String {
    if name.len() > CredentialId::MAX_LEN { format!("too-long-{}", hash(name)) } else { name.to_owned() }
}

fn hash(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("h-{:016x}", hasher.finish())
}

/// Returns whether a flawed provider refuses the path.
pub(crate) fn refuses(flaw: Option<Flaw>, path: &CredentialPath) -> bool {
    let id = path.id.as_str();
    let values = || {
        path.scope
            .iter()
            .flat_map(|scope| scope.parts().map(|(_, value)| value.to_owned()).collect::<Vec<_>>())
    };
    match flaw {
        Some(Flaw::RefusesReservedIds) => ["con", "nul", "aux", "tmp", "lock"].contains(&id),
        Some(Flaw::RefusesHiddenScopes) => values().any(|value| value == ".tmp" || value == ".git"),
        Some(Flaw::RefusesIdsOver128Bytes) => id.len() > 128,
        Some(Flaw::RefusesScopesOver256Bytes) => {
            path.scope.as_ref().is_some_and(|scope| scope.as_str().len() > 256)
        }
        Some(Flaw::RefusesIdsThatBeginWithAHyphen) => id.starts_with('-'),
        Some(Flaw::RefusesScopesThatBeginWithADot) => values().any(|value| value.starts_with('.')),
        _ => false,
    }
}
