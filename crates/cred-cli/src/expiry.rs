//! The check for expired credentials: a warning or an error.

use clap::Args;
use cred_core::{Credential, CredentialPath, Timestamp};

use crate::failure::{Exit, Failure};
use crate::moment;
use crate::output::Output;

#[derive(Args)]
pub(crate) struct ExpiryArgs {
    /// Fail if a credential has expired, instead of printing a warning
    #[arg(long)]
    refuse_expired: bool,
}

impl ExpiryArgs {
    pub(crate) fn check(
        &self,
        output: Output,
        path: &CredentialPath,
        credential: &Credential,
    ) -> Result<(), Failure> {
        let Some(expiry) = credential.expires_at().filter(|expiry| *expiry <= Timestamp::now()) else {
            return Ok(());
        };
        let message = format!("the credential `{path}` expired at {}", moment::formatted(expiry));
        if self.refuse_expired {
            return Err(Failure::new(Exit::Failed, message)
                .hint("store a new value with `cred rotate --expires`, or omit --refuse-expired"));
        }
        output.warn(message);
        Ok(())
    }
}
