//! A secret in AWS Secrets Manager, by its SDK alone.

use std::error::Error;

use aws_config::BehaviorVersion;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::create_secret::CreateSecretError;

const NAME: &str = "bare/stripe-api-key";
const VALUE: &str = "sk_live_example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    let created = client.create_secret().name(NAME).secret_string(VALUE).send().await;
    match created.map_err(|error| error.into_service_error()) {
        Err(CreateSecretError::ResourceExistsException(_)) => {
            client.put_secret_value().secret_id(NAME).secret_string(VALUE).send().await?;
        }
        created => {
            created?;
        }
    }
    let found = client.get_secret_value().secret_id(NAME).send().await?;
    println!("stripe-api-key: {} characters", found.secret_string().ok_or("it is gone")?.len());
    Ok(())
}
