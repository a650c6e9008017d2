//! What comes of every form in which providers report errors.

use super::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;

fn refused(status: u16, body: &str) -> Failure {
    refused_with(status, body, &[])
}

fn refused_with(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Failure {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let headers = headers.iter().map(pair).collect();
    Failure::refused(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), SystemTime::UNIX_EPOCH)
}

fn message(body: &str) -> String {
    refused(418, body).shown("p", &[]).message
}

fn error(code: &str) -> String {
    json!({"error": {"message": "No.", "type": "t", "code": code}}).to_string()
}

#[test]
fn the_status_tells_the_kind_and_whether_to_try_again() {
    use ProviderFailureKind::{Failed, RateLimited, Rejected, Unauthorized};
    for (status, kind, again) in [
        (307, Rejected, Again::Never),
        (400, Rejected, Again::Never),
        (401, Unauthorized, Again::Never),
        (403, Unauthorized, Again::Never),
        (404, Rejected, Again::Never),
        (408, Failed, Again::Soon),
        (422, Rejected, Again::Never),
        (429, RateLimited, Again::Soon),
        (500, Failed, Again::Soon),
        (503, Failed, Again::Soon),
        (529, Failed, Again::Soon),
    ] {
        let failure = refused(status, "");
        assert_eq!((failure.kind, failure.again, failure.status), (kind, again, Some(status)));
    }
}

#[test]
fn the_code_knows_better_than_the_status() {
    use ProviderFailureKind::{ContextTooLong, RateLimited, Rejected, Unauthorized};
    for (status, code, kind, again) in [
        (400, "context_length_exceeded", ContextTooLong, Again::Never),
        (500, "exceed_context_size_error", ContextTooLong, Again::Never),
        (429, "rate_limit_exceeded", RateLimited, Again::Soon),
        (429, "insufficient_quota", RateLimited, Again::Never),
        (400, "rate_limit_exceeded", RateLimited, Again::Never),
        (401, "invalid_request_error", Unauthorized, Again::Never),
        (500, "invalid_prompt", Rejected, Again::Never),
    ] {
        let failure = refused(status, &error(code));
        assert_eq!((failure.kind, failure.again), (kind, again), "{status} {code}");
    }
}

#[test]
fn a_type_stands_in_for_a_missing_code() {
    let body = json!({"error": {"message": "You ran out.", "type": "insufficient_quota", "code": null}});
    let failure = refused(429, &body.to_string());
    assert_eq!(
        (failure.again, failure.message.as_str()),
        (Again::Never, "You ran out. (insufficient_quota)")
    );
}

#[test]
fn errors_within_a_stream_are_tried_again_unless_the_request_is_to_blame() {
    use ProviderFailureKind::{ContextTooLong, Failed, RateLimited, Rejected};
    for (code, kind, again) in [
        ("server_error", Failed, Again::Soon),
        ("something_new", Failed, Again::Soon),
        ("rate_limit_exceeded", RateLimited, Again::Soon),
        ("insufficient_quota", RateLimited, Again::Never),
        ("context_length_exceeded", ContextTooLong, Again::Never),
        ("image_too_large", Rejected, Again::Never),
        ("invalid_prompt", Rejected, Again::Never),
    ] {
        let failure = Failure::reported(&json!({"error": {"code": code, "message": "No."}}));
        assert_eq!((failure.kind, failure.again), (kind, again), "{code}");
        assert_eq!(failure.message, format!("No. ({code})"));
    }
    let flat = Failure::reported(&json!({"type": "error", "code": null, "message": "Oops"}));
    assert_eq!((flat.kind, flat.message.as_str()), (Failed, "Oops"));
    assert_eq!(Failure::reported(&json!({"error": {"code": 500, "message": "Oops"}})).message, "Oops");
    assert_eq!(Failure::reported(&json!(null)).message, "It gives no reason");
}

#[test]
fn the_message_is_found_in_a_body_of_any_type() {
    assert_eq!(message(&error("c")), "No. (c)");
    assert_eq!(message(r#"{"error": "no such model"}"#), "no such model");
    assert_eq!(message(r#"{"message": "bad key"}"#), "bad key");
    assert_eq!(message(r#"{"detail": [{"loc": ["body"]}]}"#), r#"[{"loc":["body"]}]"#);
    assert_eq!(message(r#"[{"error": {"message": "in a list"}}]"#), "in a list");
    assert_eq!(message(r#"{"odd": 1}"#), r#"{"odd":1}"#);
    assert_eq!(message("  upstream\n\tdied \u{1b}[31m\u{7} "), "upstream died [31m");
    assert_eq!(message("<html><head><TITLE>502 Bad Gateway</TITLE></head><body>x</body>"), "502 Bad Gateway");
    assert_eq!(message("<!DOCTYPE html><p>Out of <b>order</b></p>"), "Out of order");
    assert_eq!(message("<"), "418 I'm a teapot, and nothing else");
    assert_eq!(message(""), "418 I'm a teapot, and nothing else");
    assert_eq!(
        Failure::refused(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"a\xffb", SystemTime::UNIX_EPOCH)
            .message,
        "a\u{fffd}b"
    );
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let message = message(&"é".repeat(5000));
    assert!(message.len() <= MESSAGE_BYTES + '…'.len_utf8() && message.ends_with("é…"), "{}", message.len());
}

#[test]
fn a_pause_that_is_too_long_is_told() {
    let failure = refused_with(429, "Later.", &[("retry-after", "3600")]);
    assert_eq!(failure.again, Again::After(Duration::from_secs(3600)));
    let wanted = "Later. (asks to wait 3600 s; at most 120 s are waited)";
    assert_eq!(failure.shown("p", &[]).message, wanted);
    assert_eq!(refused_with(429, "Later.", &[("retry-after", "60")]).shown("p", &[]).message, "Later.");
}

#[test]
fn a_pause_is_found_in_words() {
    let again =
        |code: &str, message: &str| Failure::reported(&json!({"code": code, "message": message})).again;
    let after = |ms| Again::After(Duration::from_millis(ms));
    let limit = "rate_limit_exceeded";
    assert_eq!(again(limit, "Limit 9. Please try again in 6.5s. Visit x."), after(6500));
    assert_eq!(again(limit, "Please try again in 28ms."), after(28));
    for unclear in
        ["Please try again in a while", "Please try again in", "try again in 1m2s", "try again in -1s"]
    {
        assert_eq!(again(limit, unclear), Again::Soon, "{unclear}");
    }
    assert_eq!(again("insufficient_quota", "Please try again in 1s."), Again::Never);
}

#[test]
fn no_secret_is_shown_even_where_the_message_is_cut() {
    let key = "sk-0123456789";
    let body = format!("{} {key} is wrong: {key}", "x".repeat(MESSAGE_BYTES - 5));
    let shown = refused(401, &body).shown("p", &[Secret::new(key.to_owned())]).message;
    assert!(!shown.contains("sk-0"), "{shown}");
}

#[test]
fn each_provider_words_its_errors_in_its_own_way() {
    use ProviderFailureKind::{ContextTooLong, Failed, RateLimited, Rejected, Unauthorized};
    let anthropic = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
    let google = |code: u16, status: &str, message: &str| json!({"error": {"code": code, "message": message, "status": status}});
    for (status, body, kind, again) in [
        (529, anthropic("overloaded_error", "Overloaded"), Failed, Again::Soon),
        (429, anthropic("rate_limit_error", "Slow"), RateLimited, Again::Soon),
        (401, anthropic("authentication_error", "invalid x-api-key"), Unauthorized, Again::Never),
        (400, anthropic("invalid_request_error", "No."), Rejected, Again::Never),
        (
            400,
            anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            ContextTooLong,
            Again::Never,
        ),
        (413, anthropic("request_too_large", "Too large"), Rejected, Again::Never),
        (503, google(503, "UNAVAILABLE", "Overloaded"), Failed, Again::Soon),
        (429, google(429, "RESOURCE_EXHAUSTED", "Quota"), RateLimited, Again::Soon),
        (403, google(403, "PERMISSION_DENIED", "No."), Unauthorized, Again::Never),
        (
            400,
            google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens"),
            ContextTooLong,
            Again::Never,
        ),
        (
            400,
            json!({"object": "error", "message": "This model's maximum context length is 8", "code": 400}),
            ContextTooLong,
            Again::Never,
        ),
    ] {
        let failure = refused(status, &body.to_string());
        assert_eq!((failure.kind, failure.again), (kind.clone(), again), "{body}");
        if !matches!(status, 401 | 403) {
            assert_eq!(Failure::reported(&body).kind, kind, "{body}");
        }
    }
}

#[test]
fn a_number_in_place_of_a_code_is_a_status() {
    use ProviderFailureKind::{Failed, RateLimited, Rejected};
    for (code, kind, again) in [
        (429, RateLimited, Again::Soon),
        (502, Failed, Again::Soon),
        (400, Rejected, Again::Never),
        (7, Failed, Again::Soon),
    ] {
        let failure = Failure::reported(&json!({"error": {"code": code, "message": "No."}}));
        assert_eq!((failure.kind, failure.again, failure.message.as_str()), (kind, again, "No."));
    }
}

#[test]
fn googles_details_tell_the_pause_and_a_wrong_key() {
    let details = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"},
    ]);
    let body = json!({"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": details}});
    let after = Again::After(Duration::from_millis(17_500));
    assert_eq!((refused(429, &body.to_string()).again, Failure::reported(&body).again), (after, after));
    let details = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
    let body = json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
        "details": details}});
    let failure = refused(400, &body.to_string());
    assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Unauthorized, Again::Never));
    assert_eq!(failure.message, "API key not valid. (API_KEY_INVALID)");
}
