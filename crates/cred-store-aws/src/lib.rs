//! Sealed credentials in AWS Secrets Manager: AWS's own chain of credentials, deletions that can be
//! undone, reads of twenty at once.
//!
//! ```no_run
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AwsSecretsManagerConfig::default()
//!     .with_region("eu-central-1")
//!     .with_secret_prefix("payments/credentials/");
//! let provider = AwsSecretsManagerProvider::new(config)?;
//! provider.connect().await?; // finds region and credentials; the first use does so by itself
//! let ids = provider.list(None, &CredentialContext::unscoped()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Who asks
//! AWS's own chain, as its SDK has it, in this order: `AWS_ACCESS_KEY_ID` and its fellows, the
//! profile (keys, an assumed role, SSO after `aws sso login`, `credential_process`), a web identity
//! token (EKS), the container (ECS, EKS Pod Identity), the instance (IMDSv2). It is asked at the
//! first use, within the operation's time, and renews by itself what expires. Profiles made by
//! `aws login` are not understood. Another source, such as keys of your own, comes with
//! [`AwsSecretsManagerProvider::with_client`].
//!
//! The least that a policy must allow, for the default prefix; `RestoreSecret` for recovery and for
//! stores over what is scheduled for deletion, `TagResource` and `UntagResource` for tags:
//! ```json
//! { "Version": "2012-10-17", "Statement": [
//!   { "Effect": "Allow",
//!     "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:CreateSecret",
//!                "secretsmanager:UpdateSecret", "secretsmanager:DeleteSecret", "secretsmanager:RestoreSecret",
//!                "secretsmanager:TagResource", "secretsmanager:UntagResource"],
//!     "Resource": "arn:aws:secretsmanager:REGION:ACCOUNT:secret:nebula/credentials/*" },
//!   { "Effect": "Allow",
//!     "Action": ["secretsmanager:ListSecrets", "secretsmanager:BatchGetSecretValue"],
//!     "Resource": "*" } ] }
//! ```
//! A KMS key of your own needs `kms:Decrypt`, `kms:GenerateDataKey` and `kms:Encrypt` besides.
//! `ListSecrets` shows the names of all secrets of the account, and cannot be narrowed. Without
//! `BatchGetSecretValue` secrets are read one by one, which is found out once.
//!
//! # In Secrets Manager
//! The credential `db-password` of the scope `org:acme/team:payments` is the secret
//! `<prefix>org=acme/team=payments/db-password`; its value is the envelope, as text. A name that
//! would be too long, or end as an ARN does, is hashed, and its path stands in the description,
//! which one listing gives back; where somebody has changed that, in the value. A secret whose
//! value is something else is somebody else's: its name is listed, and reading it is
//! [`Corrupted`](cred_core::StorageErrorKind::Corrupted).
//!
//! # Tags
//! The tags of a secret follow the metadata of its credential, with
//! [`default_tags`](AwsSecretsManagerConfig::default_tags), at every store. New and changed tags
//! are set. A tag is removed if the stored credential has it, with the value that the secret has,
//! and the new one lacks it. All other tags of the secret stay, those of other users and former
//! `default_tags` among them. A credential's own tag replaces one of the same key that another user
//! has set.
//!
//! - Tags are changed before the value is written. If AWS refuses them, the error names the call
//!   (`TagResource`, `UntagResource`), and the value is still the old one.
//! - If the write of the value fails after that, the error is that of the write. The tags are those
//!   of the new version until the next store changes them. A tag that only such a store had is not
//!   removed any more.
//! - Two stores of a credential at the same time may leave tags of either.
//! - A removal needs `GetSecretValue`, to learn which tags are the credential's. So does a store
//!   over a secret with tags of other users.
//! - Filters are decided on the value, never on tags.
//!
//! With [`update_tags`](AwsSecretsManagerConfig::update_tags) set to false, tags are set when a
//! secret is created, and stay as they are.
//!
//! # Calls to AWS
//! | operation | calls |
//! |---|---|
//! | retrieve, exists | 1; 1 more to retrieve what is scheduled for deletion |
//! | store something new | 2 |
//! | store over a secret | 2: a look at the tags and the write |
//! | ... with tags to set | 1 more |
//! | ... with tags that the new version lacks, or that other users have set | 1 more, which reads the value; 1 more to remove tags |
//! | store over what is scheduled | 3, and those for tags |
//! | store with `update_tags` set to false | 1 over a secret, 2 for something new, 4 over what is scheduled |
//! | delete | 1; 1 more for what is scheduled already |
//! | retrieve_many | 1 for each 20 different ids, 5 at once; 1 more for each that was left out or failed for a moment |
//! | list, list_tree of everything | 1 for each 100 secrets below the prefix |
//! | list, list_tree of a scope | 1 for each 100 secrets of its tree, and 1 for each 100 with hashed names |
//! | ... with a filter | 1 more for each 20 of them |
//! | recover, purge | 2 |
//!
//! An unscoped `list` reads the names of all scopes, since AWS has no folders. AWS allows 100 lists
//! and batches a second in a region, 10,000 reads, and 50 stores
//! ([quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html)).
//!
//! # When a write shows
//! AWS says that [everything is eventually
//! consistent](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html),
//! and names a time for lists alone: five minutes. So both
//! [`read_lag`](AwsSecretsManagerConfig::read_lag) and
//! [`list_lag`](AwsSecretsManagerConfig::list_lag) are five minutes by default, and a manager keeps
//! nothing in its cache that it reads so soon after its own write. A re-keying waits that long
//! once, before it reads back what it has sealed anew; a rotation so soon after a write of its
//! manager is `Busy`. Lower `read_lag` where you know better. Both at zero are for doubles of AWS.
//!
//! # Deletion
//! By default a deleted secret can be recovered for 30 days, and its name stays taken. A store over
//! it restores the secret and writes, or refuses, by
//! [`over_deleted`](AwsSecretsManagerConfig::over_deleted). Between the two calls the old value can
//! be read. Where the write fails, the secret is deleted again unless somebody else has written it,
//! and the error is [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten); a
//! process that ends in between leaves the old value.
//!
//! With [`recovery_window_days`](AwsSecretsManagerConfig::recovery_window_days) at `None` deletions
//! are for good. AWS removes such a secret in its own time; a store of the same name waits for
//! that, up to the operation's timeout.
//!
//! A purge looks whether the secret is scheduled and then removes it: AWS cannot do that in one.
//! Who restores and writes it between the two loses it.
//!
//! # Why there is no compare-and-set
//! AWS could be asked to write a version under a private stage and then to move `AWSCURRENT` from
//! the expected version to it, which it refuses where another one is current. But it documents all
//! its operations as eventually consistent, and nowhere that this condition is decided against the
//! last write rather than against what one of its replicas knows. Two writers could both be told
//! that they won. What cannot be proven is not offered; a re-keying reads again just before each
//! write, and reads back at the end.
//!
//! # What is told apart
//! | seen | told as |
//! |---|---|
//! | an error of the service (5xx), a connection that ends in the answer | `Unavailable`; a write is in doubt |
//! | an answer that is not AWS's, or of more than 64 MiB | `Unavailable` with host and port; a write is in doubt |
//! | no connection, a source of credentials that does not answer | `Unreachable` |
//! | `ThrottlingException`, 429 | `Throttled` |
//! | no credentials, an expired token, a wrong signature or clock, a certificate that is not trusted | `AuthenticationFailed` |
//! | `AccessDeniedException`; a KMS key that cannot be used | `PermissionDenied` with the action, the name and AWS's reason |
//! | a quota that is used up, a parameter that AWS does not take | `InvalidRequest` with AWS's reason |
//! | a name that AWS still removes | `Busy`, after the operation's time |
//!
//! AWS's own words are repeated, shortened, without what looks like a key or a token, and not at
//! all where a request's signature was refused, since AWS repeats the request then. AWS's code is
//! the error's source. At TRACE the SDK writes its settings, and with them the name of an access
//! key that was given to its client; never the key. It writes AWS's words there too: a session's
//! token is taken out of them before the SDK reads them.
//!
//! # Limits
//! - A value has 65,536 bytes, as the envelope is encoded. Tags are 50 with
//!   [`default_tags`](AwsSecretsManagerConfig::default_tags), of AWS's characters.
//! - **Versions.** Each store is one. AWS removes old ones beyond 100, but none of the last 24
//!   hours, so that more than one store of a credential in ten minutes, sustained, uses the quota
//!   up: stores are refused then, as
//!   [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest), until a day has passed.
//! - A signed request is taken for five minutes: so long a write in doubt may still land.
//! - The SDK's own retries, timeouts and protection of streams are off. Its sources of credentials
//!   keep theirs, within the attempt's timeout.
//! - Needs Rust 1.94.1, as the SDK does. TLS is rustls with aws-lc-rs, and the authorities that the
//!   machine trusts.

mod client;
mod config;
mod error;
mod provider;

pub use config::{AwsOverDeleted, AwsSecretsManagerConfig};
pub use provider::AwsSecretsManagerProvider;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use provider::fuzzing;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
