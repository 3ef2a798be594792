//! Prompts for the passphrases of keys, and new passphrases.

use cred_config::model::{Key, PassphraseCheck};
use cred_core::{KeyId, SecretString, Zeroizing};
use cred_crypto::{KeyRing, Passphrase};
use diceware_wordlists::EFF_LONG_WORDLIST;

use crate::failure::{Exit, Failure};
use crate::{input, terminal};

/// Minimum length of the passphrase of a new key, in characters.
const MIN_PASSPHRASE_LEN: usize = 12;

/// Prompts for the passphrase of a key. Blocks.
pub(crate) fn ask(key: &Key) -> Result<Zeroizing<String>, Failure> {
    let typed = terminal::prompt_hidden(&format!("Passphrase of key {}: ", key.id()));
    typed.map_err(|failure| match failure.exit {
        Exit::Usage => failure
            .hint("run the command on a terminal, or set `passphrase = { file = \"PATH\" }` for this key in cred.toml"),
        _ => failure,
    })
}

/// Prompts for a new passphrase, typed twice; a generated one is shown and typed once. Returns its
/// `kdf_salt` and `check`, as written in a file. Blocks.
pub(crate) fn ask_new(id: &KeyId, generate: bool) -> Result<(String, String), Failure> {
    let ask = |question: &str| {
        terminal::prompt_hidden(question).map_err(|failure| match failure.exit {
            Exit::Usage => failure.hint("a new passphrase must be typed: run `cred key add` on a terminal"),
            _ => failure,
        })
    };
    let generated = if generate { Some(words()?) } else { None };
    let typed = match &generated {
        Some(generated) => {
            let shown =
                Zeroizing::new(format!("Passphrase of {id}: {}\nWrite it down, then type it: ", **generated));
            ask(&shown)?
        }
        None => ask(&format!("Passphrase of {id}: "))?,
    };
    let passphrase = Passphrase::new(SecretString::from(typed.as_str()))?;
    if typed.chars().count() < MIN_PASSPHRASE_LEN {
        return Err(Failure::usage(format!(
            "the passphrase is too short: it needs at least {MIN_PASSPHRASE_LEN} characters"
        ))
        .hint("use several random words; --generate creates them"));
    }
    let again = match generated {
        Some(generated) => generated,
        None => ask("Repeat the passphrase: ")?,
    };
    if *again != *typed {
        return Err(Failure::usage("the two passphrases differ").hint("nothing was changed; try again"));
    }
    let kdf_salt = input::random::<16>()?;
    let ring = KeyRing::builder(id.clone()).key(id.clone(), passphrase.with_kdf_salt(*kdf_salt)).build()?;
    Ok((to_hex(&*kdf_salt), PassphraseCheck::of_active(&ring)?.encode()))
}

/// Seven random words of the EFF's long list: 90 bits, too many to guess.
fn words() -> Result<Zeroizing<String>, Failure> {
    const COUNT: usize = 7;
    let list = EFF_LONG_WORDLIST;
    let mut words = Zeroizing::new(String::with_capacity(COUNT * 16));
    for number in 0..COUNT {
        if number > 0 {
            words.push('-');
        }
        words.push_str(loop {
            let drawn = usize::from(u16::from_le_bytes(*input::random::<2>()?));
            // Skips numbers beyond the last multiple of the list's length, which would favour its
            // first words.
            if drawn < list.len() * (usize::from(u16::MAX) / list.len()) {
                break list.get(drawn % list.len()).copied().unwrap_or_default();
            }
        });
    }
    Ok(words)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
