//! Key rings: reading their keys, and new passphrases.

use cred_config::model::{Key, PassphraseCheck};
use cred_core::{KeyId, SecretString, Zeroizing};
use cred_crypto::{KeyRing, Passphrase};
use diceware_wordlists::EFF_LONG_WORDLIST;

use crate::failure::{Exit, Failure};
use crate::{input, terminal};

/// The shortest passphrase of a new key, in characters.
const LEAST_PASSPHRASE: usize = 12;

/// Asks for the passphrase of a key. It blocks.
pub(crate) fn ask(key: &Key) -> Result<Zeroizing<String>, Failure> {
    terminal::hidden(&format!("Passphrase of key {}: ", key.id()))
}

/// A new passphrase, typed twice, or made, shown and typed once: its salt and its check, as a file
/// has them. It blocks.
pub(crate) fn ask_new(id: &KeyId, generate: bool) -> Result<(String, String), Failure> {
    let ask = |question: &str| {
        terminal::hidden(question).map_err(|failure| match failure.exit {
            Exit::Usage => failure.hint("a new passphrase is typed, so add its key on a terminal"),
            _ => failure,
        })
    };
    let made = if generate { Some(words()?) } else { None };
    let typed = match &made {
        Some(made) => {
            let shown =
                Zeroizing::new(format!("Passphrase of {id}: {}\nWrite it down, then type it: ", **made));
            ask(&shown)?
        }
        None => ask(&format!("Passphrase of {id}: "))?,
    };
    let passphrase = Passphrase::new(SecretString::from(typed.as_str()))?;
    if typed.chars().count() < LEAST_PASSPHRASE {
        return Err(Failure::usage(format!("a passphrase has at least {LEAST_PASSPHRASE} characters"))
            .hint("use several random words; --generate makes them"));
    }
    let again = match made {
        Some(made) => made,
        None => ask("Once more: ")?,
    };
    if *again != *typed {
        return Err(Failure::usage("the two passphrases differ").hint("nothing was changed; do this again"));
    }
    let kdf_salt = input::random::<16>()?;
    let ring = KeyRing::builder(id.clone()).key(id.clone(), passphrase.with_kdf_salt(*kdf_salt)).build()?;
    Ok((to_hex(&*kdf_salt), PassphraseCheck::of_active(&ring)?.encode()))
}

/// Seven random words of the EFF's long list: 90 bits, which no one guesses.
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
            // Numbers beyond the last multiple of the list's length would favour its first words.
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
