//! What settings become.

use super::*;
use std::collections::BTreeMap;

fn settings(base_url: &str) -> ProviderSettings {
    ProviderSettings {
        id: "p".into(),
        name: "P".into(),
        base_url: base_url.into(),
        key: Key::None,
        http_headers: BTreeMap::new(),
        query_params: BTreeMap::new(),
        request_max_retries: 1000,
        stream_max_retries: 1000,
        stream_idle_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ca_bundle: None,
    }
}

fn error(settings: ProviderSettings) -> String {
    match Responses::new(settings) {
        Ok(_) => panic!("the settings were taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_path_is_appended_and_the_query_kept() {
    let url = |base: &str| endpoint(&settings(base)).unwrap().to_string();
    assert_eq!(url("https://a.example/v1"), "https://a.example/v1/responses");
    assert_eq!(url("https://a.example/v1/"), "https://a.example/v1/responses");
    assert_eq!(url("http://a.example"), "http://a.example/responses");
    let mut azure = settings("https://a.example/openai?x=1");
    azure.query_params.insert("api-version".into(), "2025 preview".into());
    let wanted = "https://a.example/openai/responses?x=1&api-version=2025+preview";
    assert_eq!(endpoint(&azure).unwrap().to_string(), wanted);
}

#[test]
fn retries_are_capped() {
    let client = Responses::new(settings("http://a.example")).unwrap();
    assert_eq!((client.0.request_max_retries, client.0.stream_max_retries), (100, 100));
}

#[test]
fn wrong_settings_are_named_without_their_values() {
    assert!(
        error(settings("ftp://a.example")).contains("`ftp://a.example`, which is no HTTP URL: its scheme")
    );
    assert!(error(settings("a.example/v1")).contains("no HTTP URL"));
    let mut header = settings("http://a.example");
    header.http_headers.insert("x-key".into(), "secret\n".into());
    assert_eq!(error(header), "The provider `p` has the header `x-key`, which HTTP does not allow");
    let mut key = settings("http://a.example");
    key.key = Key::Present(Secret::new("secret\n".into()));
    assert_eq!(error(key), "The key of the provider `p` has characters that HTTP does not allow");
    let mut bundle = settings("http://a.example");
    bundle.ca_bundle = Some("/nowhere/ca.pem".into());
    assert!(error(bundle).contains("`/nowhere/ca.pem`"));
}

#[test]
fn a_secret_is_never_printed() {
    let printed = format!("{:?}", Key::Present(Secret::new("sk-0123456789".into())));
    assert_eq!(printed, "Present(Secret(…))");
}
