//! What settings become.

use super::*;
use crate::gemini::Gemini;
use crate::messages::Messages;
use crate::responses::Responses;
use crate::settings::Transport;
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
        ca_bundles: Vec::new(),
        client_certificate: None,
        proxy: None,
        transport: Transport::Events,
        recording: None,
        options: RequestOptions::default(),
    }
}

fn error(settings: ProviderSettings) -> String {
    match Provider::new(Responses::new("p"), settings) {
        Ok(_) => panic!("the settings were taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_path_is_appended_and_the_query_kept() {
    let url = |base: &str| Provider::new(Responses::new("p"), settings(base)).unwrap().url("m").to_string();
    assert_eq!(url("https://a.example/v1"), "https://a.example/v1/responses");
    assert_eq!(url("https://a.example/v1/"), "https://a.example/v1/responses");
    assert_eq!(url("http://a.example"), "http://a.example/responses");
    let mut azure = settings("https://a.example/openai?x=1");
    azure.query_params.insert("api-version".into(), "2025 preview".into());
    let wanted = "https://a.example/openai/responses?x=1&api-version=2025+preview";
    assert_eq!(Provider::new(Responses::new("p"), azure).unwrap().url("m").as_str(), wanted);
}

#[test]
fn retries_are_capped() {
    let provider = Provider::new(Responses::new("p"), settings("http://a.example")).unwrap();
    assert_eq!((provider.request_max_retries, provider.stream_max_retries), (100, 100));
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
    bundle.ca_bundles.push("/nowhere/ca.pem".into());
    assert!(error(bundle).contains("`/nowhere/ca.pem`"));
}

#[test]
fn a_secret_is_never_printed() {
    let printed = format!("{:?}", Key::Present(Secret::new("sk-0123456789".into())));
    assert_eq!(printed, "Present(***)");
}

#[test]
fn the_model_may_be_a_part_of_the_path() {
    let mut settings = settings("https://a.example/v1beta/");
    settings.query_params.insert("x".into(), "1".into());
    let provider = Provider::new(Gemini::new("https://a.example"), settings).unwrap();
    let url = |model: &str| provider.url(model).to_string();
    let rest = ":streamGenerateContent?alt=sse&x=1";
    assert_eq!(url("gemini-3-pro"), format!("https://a.example/v1beta/models/gemini-3-pro{rest}"));
    assert_eq!(url("models/gemini-3-pro"), format!("https://a.example/v1beta/models/gemini-3-pro{rest}"));
    assert_eq!(url("tunedModels/x?y"), format!("https://a.example/v1beta/tunedModels/x%3Fy{rest}"));
}

#[test]
fn each_api_has_its_own_headers() {
    let key = || Key::Present(Secret::new("sk-0123456789".into()));
    let with_key = |base: &str| ProviderSettings { key: key(), ..settings(base) };
    let messages = Provider::new(Messages, with_key("http://a.example")).unwrap();
    assert_eq!(messages.headers["x-api-key"], "sk-0123456789");
    assert_eq!(messages.headers["anthropic-version"], "2023-06-01");
    let gemini = Provider::new(Gemini::new("http://a.example"), with_key("http://a.example")).unwrap();
    assert_eq!(gemini.headers["x-goog-api-key"], "sk-0123456789");
    let responses = Provider::new(Responses::new("p"), with_key("http://a.example")).unwrap();
    assert_eq!(responses.headers["authorization"], "Bearer sk-0123456789");
    assert!(messages.headers["x-api-key"].is_sensitive());
    assert!(!gemini.headers.contains_key("authorization") && !messages.headers.contains_key("authorization"));
}

#[test]
fn vertex_is_sent_a_bearer_token() {
    const VERTEX: &str =
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google";
    for (base, key, header) in [
        ("https://generativelanguage.googleapis.com/v1beta", "AIza123456", "x-goog-api-key"),
        ("https://generativelanguage.googleapis.com/v1beta", "ya29.abcdef", "authorization"),
        (VERTEX, "ya29.abcdef", "authorization"),
        (VERTEX, "another-token", "authorization"),
        (VERTEX, "AIza123456", "x-goog-api-key"),
    ] {
        let settings = ProviderSettings { key: Key::Present(Secret::new(key.into())), ..settings(base) };
        let provider = Provider::new(Gemini::new(base), settings).unwrap();
        let value = if header == "authorization" { format!("Bearer {key}") } else { key.to_owned() };
        assert_eq!(provider.headers[header], value.as_str(), "{base} {key}");
    }
}
