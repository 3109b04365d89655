//! The client for each kind of store, from what the environment and the command line say.

use super::access::{Access, Checksum};
use super::target::{Scheme, Target};
use crate::error::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use std::sync::{Arc, Once};
use std::time::Duration;

/// Of one request; a part of 16 MiB takes ten minutes at 28 kB/s.
const TIMEOUT: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) parts: Option<Arc<dyn MultipartStore>>,
}

/// The client of `target`.
pub(super) fn connect(target: &Target, access: &Access) -> Result<Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Where the program that links us has chosen one, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let made = match target.scheme {
        Scheme::S3 => s3(target, access)?,
        Scheme::Gcs => gcs(target, access),
        Scheme::Azure => azure(target, access),
        Scheme::File => return folder(target),
    };
    made.map_err(|e| {
        // The builders' words name settings and files, not values; a key's file may be quoted.
        let what = e.to_string();
        let what = what.split(['\n', '{']).next().unwrap_or_default().to_owned();
        Error::usage(format!("can't be reached: {what}")).source_name(target)
    })
}

fn retry(access: &Access) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: access.retries,
        retry_timeout: Duration::from_secs(180),
    }
}

fn options() -> ClientOptions {
    ClientOptions::new().with_timeout(TIMEOUT).with_connect_timeout(CONNECT).with_http1_only()
}

fn both<S: ObjectStore + MultipartStore>(store: S) -> Client {
    let store = Arc::new(store);
    Client { objects: store.clone(), parts: Some(store) }
}

const NOBODY: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; AWS_SKIP_SIGNATURE=true asks as nobody";

/// True where the service answers that gives a cloud's machine its role: elsewhere the client would try it for
/// minutes.
fn is_an_instance() -> bool {
    let service = std::net::SocketAddr::from(([169, 254, 169, 254], 80));
    std::net::TcpStream::connect_timeout(&service, Duration::from_secs(1)).is_ok()
}

fn s3(target: &Target, access: &Access) -> Result<object_store::Result<Client>> {
    let access = access.clone().with_profile().map_err(|e| e.source_name(target))?;
    let endpoint = access.endpoint.as_deref();
    let mut b = AmazonS3Builder::new().with_client_options(options());
    for (k, v) in access.env.iter().filter(|(_, v)| !v.is_empty()) {
        if let Ok(key) = k.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            // What the environment says of the client itself (proxies, timeouts) comes after ours.
            b = b.with_config(key, v);
        }
    }
    let own = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let named = own.iter().find_map(|v| access.env.get(*v).filter(|v| !v.is_empty()));
    if let Some(url) = endpoint.or(named.map(String::as_str)) {
        b = b.with_endpoint(url.trim_end_matches('/')).with_allow_http(url.starts_with("http://"));
        if !access.aws_is_known() {
            return Err(Error::usage("no credentials for it are known")
                .source_name(target)
                .hint(NOBODY));
        }
    }
    if endpoint.is_none() && named.is_none() && !access.aws_is_known() && !is_an_instance() {
        return Err(Error::usage("no credentials are known").source_name(target).hint(NOBODY));
    }
    if let Some(r) = &access.region {
        b = b.with_region(r);
    }
    b = match access.checksum {
        Checksum::Crc64 => b
            .with_checksum_algorithm(object_store::aws::Checksum::CRC64NVME)
            .with_unsigned_payload(true),
        Checksum::Sha256 => b.with_checksum_algorithm(object_store::aws::Checksum::SHA256),
        Checksum::None => b.with_unsigned_payload(true),
    };
    b = b
        .with_bucket_name(&target.bucket)
        .with_virtual_hosted_style_request(access.virtual_host)
        .with_disable_tagging(true)
        // Not every server knows the deletion of many.
        .with_disable_bulk_delete(true)
        .with_retry(retry(&access));
    Ok(b.build().map(both))
}

fn gcs(target: &Target, access: &Access) -> object_store::Result<Client> {
    let mut b = GoogleCloudStorageBuilder::new().with_client_options(options());
    for (k, v) in access.env.iter().filter(|(_, v)| !v.is_empty()) {
        if let Ok(key) = k.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            b = b.with_config(key, v);
        }
    }
    if let Some(url) = &access.endpoint {
        let options = options().with_allow_http(url.starts_with("http://"));
        b = b.with_base_url(url.trim_end_matches('/')).with_client_options(options);
    }
    b.with_bucket_name(&target.bucket).with_retry(retry(access)).build().map(both)
}

fn azure(target: &Target, access: &Access) -> object_store::Result<Client> {
    let mut b = MicrosoftAzureBuilder::new().with_client_options(options());
    for (k, v) in access.env.iter().filter(|(_, v)| !v.is_empty()) {
        if let Ok(key) = k.to_ascii_lowercase().parse::<AzureConfigKey>() {
            b = b.with_config(key, v);
        }
    }
    if let Some(url) = &access.endpoint {
        b = b
            .with_endpoint(url.trim_end_matches('/').to_owned())
            .with_allow_http(url.starts_with("http://"));
    }
    // Its blocks have no id to be ended by, and what is said of a blob is said with the last of them: the
    // store's own way from block to blob keeps that, the way by parts does not.
    let blobs = b.with_container_name(&target.bucket).with_retry(retry(access)).build()?;
    Ok(Client { objects: Arc::new(blobs), parts: None })
}

/// It is made where missing.
fn folder(target: &Target) -> Result<Client> {
    let path = target.folder().unwrap_or_default();
    std::fs::create_dir_all(&path)
        .map_err(|e| Error::io("can't make the folder", e).source_name(target))?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|e| {
        Error::new(ErrorKind::Io, "can't open the folder")
            .source_name(target)
            .because(e.to_string())
    })?;
    Ok(Client { objects: Arc::new(store.with_automatic_cleanup(true)), parts: None })
}
