//! scope-3 and scope-4: every name can be used, and no two paths share a physical name.

use std::collections::BTreeSet;

use cred_core::{CredentialId, CredentialPath, ScopeId};

use crate::rule::fail;
use crate::trial::Trial;
use crate::value::{path, value};

const INJECTIVE: &str = "make the physical name injective: escape characters that the backend's alphabet or case rules \
                         would lose, and escape the escape character itself";
const USABLE: &str = "accept every id and every scope: escape names and characters that the backend reserves or does not \
                      support, and hash only names that are too long, over the whole path";
const EXACT: &str = "return exactly the scope and the id that were stored: store the path next to the value if it cannot \
                     be decoded from the physical name";

const ID_ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
const NAME_ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

/// Stores all names together and checks that each is read and listed as itself, and that deleting
/// every second one leaves the others.
async fn are_distinct(t: &Trial, names: impl IntoIterator<Item: AsRef<str>>, advice: &str) {
    let unique: BTreeSet<CredentialPath> = names.into_iter().map(|name| path(name.as_ref())).collect();
    let entries: Vec<_> = unique.into_iter().zip((1..).map(value)).collect();
    t.put_all(entries.clone()).await;
    t.all_hold(&entries, advice).await;
    list_exactly(t, entries.iter().map(|(path, _)| path)).await;

    let (gone, kept): (Vec<_>, Vec<_>) =
        entries.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let kept: Vec<_> = kept.into_iter().map(|(_, entry)| entry).collect();
    for (_, (path, _)) in &gone {
        t.remove(path).await;
    }
    for (_, (path, _)) in &gone {
        t.lacks(path, "delete exactly the credential that was stored at that path").await;
    }
    t.all_hold(&kept, advice).await;
    list_exactly(t, kept.iter().map(|(path, _)| path)).await;
}

async fn list_exactly<'a>(t: &Trial, paths: impl Iterator<Item = &'a CredentialPath>) {
    let paths: Vec<_> = paths.cloned().collect();
    let scopes: BTreeSet<Option<ScopeId>> = paths.iter().map(|path| path.scope.clone()).collect();
    // The tree contains all of them. Only some scopes are listed, since one call for each scope is
    // slow on a distant backend.
    for scope in scopes.iter().step_by(scopes.len() / 16 + 1) {
        let here = paths.iter().filter(|path| path.scope == *scope);
        let ids: Vec<CredentialId> = here.map(|path| path.id.clone()).collect();
        t.lists(scope.as_ref(), None, &ids, EXACT).await;
    }
    t.has_tree(None, None, &paths, EXACT).await;
}

pub(super) async fn scope_3_names_that_differ_only_in_case_are_distinct(t: Trial) {
    let names = "\
        key Key KEY kEY a-B A-b org:acme/key org:Acme/key org:ACME/key Org:acme/key ORG:acme/key \
        org:acme/Key org:a/team:X/key org:A/team:x/key org:a/team:x/key";
    are_distinct(&t, names.split_whitespace(), INJECTIVE).await;
}

pub(super) async fn scope_3_names_that_differ_only_in_punctuation_are_distinct(t: Trial) {
    let names = "\
        a-b a_b a--b a__b a-_b a_-b ab - _ -- __ -_ _- -a _a a- a_ a org:a.b/key org:a-b/key \
        org:a_b/key org:ab/key org:a..b/key org:.a/key org:a./key o.rg:a/key o-rg:a/key o_rg:a/key \
        org:-/key org:_/key org:.../key org:a/key org:-a/key";
    are_distinct(&t, names.split_whitespace(), INJECTIVE).await;
}

pub(super) async fn scope_3_long_names_that_differ_only_at_their_ends_are_distinct(t: Trial) {
    let mut names = Vec::new();
    for len in [62, 63, 64, 126, 127, 128, 251, 252, 253, 254] {
        for end in ["a", "b", "A"] {
            names.push(format!("{}{end}", "x".repeat(len)));
        }
        names.push(format!("b{}", "x".repeat(len)));
    }
    for len in [59, 251, 507] {
        for end in ["a", "b", "a/t:b", "a/t:c"].iter().filter(|end| 4 + len + end.len() <= ScopeId::MAX_LEN) {
            names.push(format!("org:{}{end}/key", "s".repeat(len)));
        }
    }
    are_distinct(&t, names, "never truncate a name: hash a name that is too long, over the whole path").await;
}

pub(super) async fn scope_3_the_boundary_between_scope_and_id_is_unambiguous(t: Trial) {
    let names = "\
        org:a/b-c org:a-b/c org:a/b_c org:a_b/c org:a.b/c a-b-c org-a-b-c org_a_b_c org:a/team:b/c \
        org:a/team_b_c org:a/team-b-c org:a.team.b/c org:a_team_b/c org:a-team-b/c org:a--team-b/c \
        org:a__team_b/c org-a__team-b__c org--a---team--b----c org_3Aa_2Fc org-3Aa-2Fc or:ga/c \
        o:rga/c org:ac/c orga:c/c";
    are_distinct(&t, names.split_whitespace(), INJECTIVE).await;
}

pub(super) async fn scope_3_names_that_look_like_encodings_of_others_are_distinct(t: Trial) {
    let mut names = Vec::new();
    for name in ["A_b", "a-b", "Z", "_", "-", "key_1"] {
        names.push(name.to_owned());
        names.extend(encodings(name));
    }
    are_distinct(&t, names, INJECTIVE).await;
}

/// Encodings of `name` that a provider may use as physical names, here used as ids.
fn encodings(name: &str) -> Vec<String> {
    let mut spellings = vec![
        name.to_lowercase(),
        name.to_uppercase(),
        name.replace('_', "__"),
        name.replace('-', "--"),
        name.bytes().map(|byte| format!("{byte:02x}")).collect(),
        name.bytes().map(|byte| format!("{byte:02X}")).collect(),
        crate::leak::base64(name.as_bytes()).replace('+', "-").replace('/', "_"),
    ];
    for escape in ["_", "-", "x", "_x", "-x", "--", "__"] {
        for spelled in [lower_hex as fn(char) -> String, upper_hex] {
            let special = |letter: char| !letter.is_ascii_lowercase() && !letter.is_ascii_digit();
            let escaped = |letter| match special(letter) {
                true => format!("{escape}{}", spelled(letter)),
                false => letter.to_string(),
            };
            spellings.push(name.chars().map(escaped).collect());
        }
        let marked = name.chars().map(|letter| match letter.is_ascii_uppercase() {
            true => format!("{escape}{}", letter.to_ascii_lowercase()),
            false => letter.to_string(),
        });
        spellings.push(marked.collect());
    }
    spellings
}

fn lower_hex(letter: char) -> String {
    format!("{:02x}", u32::from(letter))
}

fn upper_hex(letter: char) -> String {
    format!("{:02X}", u32::from(letter))
}

pub(super) async fn scope_3_a_physical_name_used_as_an_id_is_a_different_credential(t: Trial) {
    let originals = [
        "a_B-c".to_owned(),
        "org:a/a_B-c".to_owned(),
        "org:A.b/team:-x_/k".to_owned(),
        "x".repeat(255),
        format!("{}Y", "x_".repeat(127)),
        format!("org:{}/{}", "s".repeat(508), "i".repeat(255)),
    ];
    let mut names = BTreeSet::from(originals.clone());
    for original in &originals {
        let original = path(original);
        // If the harness does not know the name, guess one that a provider may use for a hash.
        let physical = t.harness.physical_name(&original).unwrap_or_else(|| format!("h-{}", "0".repeat(64)));
        let parts = physical.split(|letter: char| !ID_ALPHABET.contains(letter)).map(str::to_owned);
        let sanitized: String =
            physical.chars().map(|letter| if ID_ALPHABET.contains(letter) { letter } else { '-' }).collect();
        for id in parts.chain([sanitized]).filter(|id| CredentialId::new(id).is_ok()) {
            if let Some(scope) = &original.scope {
                names.insert(format!("{scope}/{id}"));
            }
            names.insert(id);
        }
    }
    are_distinct(&t, names, "give hashed and escaped names a prefix or mark that no plain name can have")
        .await;
}

pub(super) async fn scope_4_names_that_backends_reserve_can_be_used(t: Trial) {
    let ids = "\
        con CON nul NUL aux prn com1 COM9 lpt1 tmp temp lock LOCK index data metadata config null \
        None true false undefined __proto__ constructor 0 00 -1 1e9 NaN -rf --help - _ __ aws azure \
        default latest versions undelete destroy delete list cred secret AWSCURRENT kube-system root \
        all key-AbCdEf name-123456 key-zzzzzz";
    let scopes = "\
        org:con org:NUL org:tmp org:.tmp org:.lock org:.git org:... org:- org:_ org:a.json \
        org:a.cred org:a.tmp org:.a org:a. con:aux ..:a .:a ...:... org:data/org:metadata data:data \
        -:- _:_ org:a.lock org:lost-found org:key-AbCdEf 0:0 tmp:tmp null:null";
    let unscoped = ids.split_whitespace().map(str::to_owned);
    let scoped = scopes.split_whitespace().flat_map(|scope| ["key", "tmp"].map(|id| format!("{scope}/{id}")));
    are_distinct(&t, unscoped.chain(scoped), USABLE).await;
}

pub(super) async fn scope_4_ids_of_every_length_can_be_used(t: Trial) {
    let lengths = [1, 2, 31, 32, 33, 62, 63, 64, 65, 125, 126, 127, 128, 129, 191, 192, 252, 253, 254, 255];
    let names = lengths.iter().flat_map(|len| {
        let id = "k".repeat(*len);
        [id.clone(), format!("org:a/{id}"), format!("org:a/team:b/{id}")]
    });
    are_distinct(&t, names, USABLE).await;
}

pub(super) async fn scope_4_every_id_character_can_be_used_in_any_position(t: Trial) {
    let names =
        ID_ALPHABET.chars().flat_map(|letter| [format!("{letter}"), format!("org:a/{letter}mid{letter}")]);
    are_distinct(&t, names, USABLE).await;
}

pub(super) async fn scope_4_every_scope_character_can_be_used_in_any_position(t: Trial) {
    let names = NAME_ALPHABET.chars().flat_map(|letter| {
        [format!("org:{letter}/k"), format!("{letter}:a/k"), format!("org:{letter}x{letter}/k")]
    });
    // `.` is not a valid scope value, so it is left out.
    are_distinct(&t, names.filter(|name| name.parse::<CredentialPath>().is_ok()), USABLE).await;
}

pub(super) async fn scope_4_scopes_up_to_the_maximum_length_can_be_used(t: Trial) {
    let deep = vec!["a:b"; 128].join("/");
    let two = format!("org:{}/team:{}", "o".repeat(249), "t".repeat(249));
    let scopes = [
        format!("o:{}", "v".repeat(510)),
        format!("{}:v", "l".repeat(510)),
        format!("o:{}", "v".repeat(253)),
        format!("org:{}", "v".repeat(255)),
        format!("org:{}", "V".repeat(256)),
        deep,
        two,
        format!("org:{}", "._-".repeat(169)),
    ];
    let names = scopes.iter().flat_map(|scope| {
        if scope.len() > ScopeId::MAX_LEN {
            fail("the conformance suite created a scope that is too long", "report this bug");
        }
        ["k".to_owned(), "i".repeat(255)].map(|id| format!("{scope}/{id}"))
    });
    are_distinct(&t, names, USABLE).await;
}
