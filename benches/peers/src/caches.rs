//! A cache hit of the manager compared with a hit of AWS's caching client, both with 64 hot keys
//! and a TTL of one hour.

use std::hint::black_box;
use std::num::NonZeroUsize;

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::{Client, Config};
use aws_secretsmanager_caching::SecretsManagerCachingClient;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use cred_benches::cache::{HOT, TTL, World, timed};
use cred_benches::ratio::compare;

const HITS: u64 = 2_000;

/// Answers every call in this process, so that only the cache is measured.
fn client() -> Client {
    let answer = r#"{"ARN":"arn","Name":"name","VersionId":"EXAMPLE1-90ab-cdef-fedc-ba987SECRET1",
        "SecretString":"sk_live_example","VersionStages":["AWSCURRENT"],"CreatedDate":1.5e9}"#;
    let http = infallible_client_fn(move |_| http::Response::builder().body(SdkBody::from(answer)).unwrap());
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "key", None, None, "static"))
        .http_client(http)
        .build();
    Client::from_conf(config)
}

pub(crate) fn run() {
    let world = World::new();
    let names: Vec<String> = world.paths.iter().map(ToString::to_string).collect();
    let peer = world.runtime.block_on(async {
        let peer = SecretsManagerCachingClient::new(client(), NonZeroUsize::new(1_000).unwrap(), TTL, false);
        let peer = peer.unwrap();
        for name in &names {
            peer.get_secret_value(name, None, None, false).await.unwrap();
        }
        peer
    });
    let peer_hits = || {
        world.runtime.block_on(async {
            for name in names.iter().cycle().take(usize::try_from(HITS).unwrap()) {
                black_box(peer.get_secret_value(name, None, None, false).await.unwrap());
            }
        });
    };
    assert_eq!(names.len(), HOT);
    let ours = || timed(|| world.manager_hits(HITS));
    compare("cache hit, 64 hot keys / aws_secretsmanager_caching", 0.35, 500, ours, || timed(peer_hits));
}
