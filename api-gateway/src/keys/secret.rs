//! Keys in a Secret of the gateway's own namespace, followed for as long as the gateway runs.
//!
//! Comes in: the Secret. Goes out: the ring's keys. A Secret that is broken or gone changes nothing: the last good keys
//! hold, and the board says what is wrong. It must not log a key.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::ring::KeyRing;
use super::{digest, file};
use crate::cluster::board::Line;
use crate::cluster::trouble::Trouble;
use crate::cluster::watch::{Source, follow};
use crate::cluster::{Cluster, FIELD_MANAGER, create, within};
use crate::directory::kubernetes::follow::newest;

/// Key in the Secret's data: the list of keys.
pub const KEYS: &str = "keys.yaml";
/// Key in the data of a Secret that the gateway made: the admin's key itself, for whoever installs it.
pub const ADMIN: &str = "admin-api-key";

/// How often it is tried again to make the Secret.
const MAKE_AGAIN: Duration = Duration::from_secs(2);

/// Keeps the ring as the Secret says; if the Secret is not there, it is made with the admin key `fresh`. Does not end.
pub async fn keep(cluster: Cluster, name: String, fresh: Option<String>, ring: KeyRing, line: Line) {
    if let Some(admin) = fresh {
        while let Err(trouble) = make(&cluster, &name, &admin).await {
            line.down(format!("the Secret {name} with the API keys cannot be made: {trouble}"));
            tokio::time::sleep(MAKE_AGAIN).await;
        }
    }
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let secret = format!("the Secret {}/{name} with the API keys", cluster.namespace);
    let source = Source::named(&cluster, api, &name, line.clone());
    let take = |news| match newest(news) {
        Some(Ok(keys)) => {
            if ring.replace(keys) {
                tracing::info!("API keys were read");
            }
            line.up();
        }
        Some(Err(why)) => line.down(format!("{secret} cannot be used, the last good keys hold: {why}")),
        None => line.down(format!("{secret} is not there: make it with a list of keys under {KEYS}")),
    };
    follow(source, read, take).await;
}

fn read(secret: Secret) -> Result<super::Keys, String> {
    let text =
        secret.data.and_then(|mut data| data.remove(KEYS)).ok_or_else(|| format!("it has no {KEYS}"))?;
    let text = String::from_utf8(text.0).map_err(|_| format!("{KEYS} is no text"))?;
    file::parse(&text).map_err(|error| format!("{KEYS}: {error}"))
}

/// Makes the Secret with a new admin key, unless it is there. It is looked for first: where a quota or a policy refuses every new
/// Secret, the one that is there is as good as ever.
async fn make(cluster: &Cluster, name: &str, admin: &str) -> Result<(), Trouble> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    if !within(api.list_metadata(&named)).await?.items.is_empty() {
        return Ok(());
    }
    match create::<Secret>(&cluster.client, &api, &new_secret(name, admin)).await {
        Ok(_) => {
            tracing::info!(secret = %name, "a Secret with a new admin key was made");
            Ok(())
        }
        Err(Trouble::AlreadyExists) => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

fn new_secret(name: &str, admin: &str) -> Value {
    let keys = format!("- {{name: admin, role: admin, sha256: {}}}\n", hex::encode(digest(admin)));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER}},
        "type": "Opaque",
        "stringData": {KEYS: keys, ADMIN: admin},
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(key: &str, text: &str) -> Secret {
        let data = [(key.to_owned(), ByteString(text.as_bytes().to_vec()))].into();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_secret_is_read_or_told_why_not() {
        assert!(read(secret(KEYS, "- {name: a, role: admin, key: b}")).is_ok());
        assert_eq!(read(secret("other", "x")).err().unwrap(), "it has no keys.yaml");
        let broken = read(secret(KEYS, "- {name: a, role: admin}")).err().unwrap();
        assert_eq!(broken, "keys.yaml: key 1 of the list (a): either sha256 or key is needed");
    }

    #[test]
    fn the_secret_that_is_made_holds_the_key_that_it_names() {
        let made: Secret = serde_json::from_value(new_secret("keys", "wk_1")).unwrap();
        let text = &made.string_data.unwrap()[KEYS];
        assert_eq!(&*file::parse(text).unwrap().authenticate("wk_1").unwrap().name, "admin");
    }
}
