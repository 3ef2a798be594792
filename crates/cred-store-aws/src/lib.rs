//! Stores sealed credentials in AWS Secrets Manager.
//!
//! The provider uses AWS's default credential chain, restores deleted credentials, and reads up to
//! 20 credentials per call.
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
//! provider.connect().await?; // optional: finds the region and the AWS credentials
//! let ids = provider.list(None, &CredentialContext::unscoped()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Authentication
//! The provider uses the default credential chain of AWS's SDK, in this order:
//!
//! 1. `AWS_ACCESS_KEY_ID` and the related variables;
//! 2. the profile: keys, an assumed role, SSO after `aws sso login`, `credential_process`;
//! 3. a web identity token (EKS);
//! 4. the container (ECS, EKS Pod Identity);
//! 5. the instance (IMDSv2).
//!
//! The first operation runs the chain, within its timeout. Credentials that expire are renewed
//! automatically. Profiles that `aws login` creates are not supported. For another source of
//! credentials, such as fixed keys, use [`AwsSecretsManagerProvider::with_client`].
//!
//! # Required permissions
//! The minimal policy for the default prefix. `RestoreSecret` is only for recovery and for stores
//! over a secret that is scheduled for deletion, `TagResource` and `UntagResource` only for tags.
//!
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
//!
//! - With a customer managed KMS key ([`kms_key_id`](AwsSecretsManagerConfig::kms_key_id)), also
//!   allow `kms:Decrypt`, `kms:GenerateDataKey` and `kms:Encrypt` on the key.
//! - `ListSecrets` exposes the names of all secrets in the account; AWS cannot restrict it to a
//!   prefix.
//! - Without `BatchGetSecretValue`, secrets are read one by one. A provider detects this once.
//!
//! # Storage layout
//! The credential `db-password` of the scope `org:acme/team:payments` is the secret
//! `<prefix>org=acme/team=payments/db-password`. Its value is the envelope, as text.
//!
//! A name that would be too long, or that would end like an ARN, is hashed. The description of the
//! secret then contains the path, so that a list needs no further call. The value also contains
//! the path, in case another user has changed the description.
//!
//! If a secret below the prefix has any other value, another program wrote it. A list contains its
//! name, and reading it returns [`Corrupted`](cred_core::StorageErrorKind::Corrupted).
//!
//! # Tags
//! Each store updates the tags of the secret to those of the credential's metadata and
//! [`default_tags`](AwsSecretsManagerConfig::default_tags). New and changed tags are set. A tag is
//! removed if the stored credential has it, with the value that the secret has, and the new
//! credential lacks it. All other tags of the secret stay, including those of other users and
//! former `default_tags`. A credential's tag replaces a tag with the same key that another user has
//! set.
//!
//! - Tags are changed before the value is written. If AWS refuses them, the error names the call
//!   (`TagResource`, `UntagResource`), and the value is still the old one.
//! - If writing the value fails after that, the error is that of the write. The secret has the tags
//!   of the new version until the next store changes them. A tag that only the failed store has set
//!   is never removed.
//! - Two stores of a credential at the same time may leave tags of either.
//! - Removing a tag needs `GetSecretValue`, which shows the tags that belong to the credential. So
//!   does a store over a secret with tags of other users.
//! - Filters are evaluated on the value, never on tags.
//!
//! With [`update_tags`](AwsSecretsManagerConfig::update_tags) set to false, tags are set when a
//! secret is created, and are not changed later.
//!
//! # Requests per operation
//! | operation | calls to Secrets Manager |
//! |---|---|
//! | connect | 0 |
//! | retrieve, exists | 1; 1 more to retrieve a secret that is scheduled for deletion |
//! | store a new secret | 2 |
//! | store over an existing secret | 2: one reads the tags, one writes |
//! | ... with tags to set | 1 more |
//! | ... with tags that the new version lacks, or that other users have set | 1 more, which reads the value; 1 more to remove tags |
//! | store over a secret that is scheduled for deletion | 3, and those for tags |
//! | store with `update_tags` set to false | 1 over an existing secret, 2 for a new one, 4 over one that is scheduled for deletion |
//! | delete | 1; 1 more if the secret is already scheduled for deletion |
//! | retrieve_many | 1 for each 20 different ids, 5 at a time; 1 more for each secret that AWS left out or that failed transiently; 2 more for each that is scheduled for deletion |
//! | list, list_tree, list_deleted without a scope | 1 for each 100 secrets below the prefix |
//! | list, list_tree, list_deleted of a scope | 1 for each 100 secrets of the scope's tree, and 1 for each 100 secrets with hashed names |
//! | list, list_tree with a filter | 1 more for each 20 of these secrets |
//! | recover, purge | 2; 1 if the secret is not scheduled for deletion |
//!
//! A `list` without a scope reads the names of all scopes, because AWS has no folders. AWS allows
//! 100 list calls and 100 batch reads per second in a region, 10,000 reads, and 50 stores
//! ([quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html)).
//!
//! # Consistency
//! AWS documents [all operations as eventually
//! consistent](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html),
//! and states a time only for lists: five minutes. So both
//! [`read_lag`](AwsSecretsManagerConfig::read_lag) and
//! [`list_lag`](AwsSecretsManagerConfig::list_lag) are five minutes by default. `read_lag` affects
//! the manager:
//!
//! - For that long after its own write, the manager does not cache what it reads.
//! - A re-keying waits for that long once, before it reads back the credentials that it has sealed
//!   again.
//! - A rotation within that time after a write by the same manager is `Busy`.
//!
//! Lower `read_lag` if you know a shorter time. Set both to zero only for test doubles of AWS.
//!
//! # Cancellation
//! AWS accepts a signed request for five minutes. For that long, a write whose outcome is unknown
//! may still take effect.
//!
//! # Deletion and recovery
//! By default, a deleted secret can be recovered for 30 days, and its name stays taken.
//!
//! **A store over a deleted secret** restores it and then writes, or fails, depending on
//! [`over_deleted`](AwsSecretsManagerConfig::over_deleted). Between the two calls, the old value
//! can be read.
//!
//! - If the write fails, the provider deletes the secret again and returns
//!   [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten).
//! - If the outcome of the write is unknown, or another client has written the secret meanwhile,
//!   the secret stays restored and the error is
//!   [`InDoubt`](cred_core::StorageErrorKind::InDoubt).
//! - If the process ends between the two calls, the old value stays readable.
//!
//! **Permanent deletion.** If
//! [`recovery_window_days`](AwsSecretsManagerConfig::recovery_window_days) is `None`, deletions are
//! permanent. AWS removes such a secret with a delay. A store of the same name waits for that, up
//! to the operation's timeout.
//!
//! **A purge** first checks that the secret is scheduled for deletion and then removes it, because
//! AWS has no single call for both. If another client restores and writes the secret between the
//! two calls, that write is lost.
//!
//! # Error mapping
//! | cause | error |
//! |---|---|
//! | no connection, or a source of AWS credentials that does not respond | `Unreachable` |
//! | a service error (5xx), or the connection ends before the response does | `Unavailable`; for a write `InDoubt` |
//! | a response that is not from AWS, or is longer than 64 MiB | `Unavailable` with host and port; for a write `InDoubt` |
//! | `ThrottlingException`, 429 | `Throttled` |
//! | no credentials, an expired token, a wrong signature or clock, a certificate that is not trusted | `AuthenticationFailed` |
//! | `AccessDeniedException`, or a KMS key that cannot be used | `PermissionDenied` with the action, the name and AWS's reason |
//! | an exhausted quota, or a parameter that AWS does not accept | `InvalidRequest` with AWS's reason |
//! | no region is configured | `InvalidRequest` |
//! | AWS is still deleting a secret of that name | `Busy`, after the operation's timeout |
//!
//! Messages from AWS are quoted, shortened, and without words that look like a key or a token. If
//! AWS refuses the authentication, its message is not quoted, because it may repeat the request.
//! AWS's error code is the source of the error.
//!
//! # Logging
//! At TRACE the SDK logs its settings, including the id of an access key that was given to its
//! client, but never the secret key. It also logs the messages of AWS; the provider removes the
//! session token from them before the SDK reads them.
//!
//! # Limits
//! - **Size.** A value has at most 65,536 bytes, counted as the encoded envelope.
//! - **Tags.** At most 50, including [`default_tags`](AwsSecretsManagerConfig::default_tags), in
//!   the characters that AWS accepts.
//! - **Versions.** Each store creates a version. AWS removes old versions beyond 100, but none
//!   from the last 24 hours. Storing a credential more often than once in ten minutes, sustained,
//!   exhausts this quota. Stores then fail with
//!   [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) until a day has passed.
//! - **SDK settings.** The SDK's own retries, timeouts and stalled-stream protection are off. Its
//!   sources of credentials keep theirs, within the timeout of the attempt.
//! - **Requirements.** Rust 1.94.1, as for the SDK. TLS is rustls with aws-lc-rs, and the trusted
//!   authorities are those of the machine.
//!
//! # Why compare-and-set is not offered
//! One could write a version under a private stage and then ask AWS to move `AWSCURRENT` from the
//! expected version to it. AWS refuses this if another version is current. But AWS documents all
//! its operations as eventually consistent. It does not document that this condition is checked
//! against the latest write rather than against the state of one replica. So two writers could both
//! succeed. The provider does not offer a guarantee that cannot be proven. A re-keying reads each
//! credential again just before it writes it, and reads back at the end.

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
