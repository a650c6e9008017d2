//! What a sign-in is about: which server, at which address, and whether a token may be sent there at all.

use config::{McpSignIn, McpTransport};
use reqwest::Url;

use crate::error::McpError;
use crate::recipe::Recipe;

/// A server that one can sign in with.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its name in the settings.
    pub(crate) server: String,
    pub(crate) url: Url,
    /// What the settings say.
    pub(crate) sign_in: McpSignIn,
    /// The secret of the client that the settings name.
    pub(crate) client_secret: Option<String>,
}

impl Place {
    /// That of a server.
    ///
    /// # Errors
    /// `NoSignIn` when it is a program, has its token from elsewhere, or could be read on the way.
    pub(crate) fn of(recipe: &Recipe) -> Result<Self, McpError> {
        let refuse =
            |reason: &str| Err(McpError::NoSignIn { server: recipe.name.clone(), reason: reason.to_owned() });
        let McpTransport::Http { url, bearer_token_env_var, http_headers, env_http_headers, sign_in } =
            &recipe.server.transport
        else {
            return refuse("it is a program on this machine");
        };
        let mut headers = http_headers.keys().chain(env_http_headers.keys());
        if bearer_token_env_var.is_some() || headers.any(|name| name.eq_ignore_ascii_case("authorization")) {
            return refuse("the settings say where its token comes from");
        }
        let Ok(url) = Url::parse(url) else { return refuse("its address is none") };
        if !is_private(&url) {
            return refuse("its address is no `https`, so that others could read the token");
        }
        let client_secret = sign_in.client_secret_env_var.as_ref();
        let client_secret = client_secret.and_then(|variable| recipe.variables.get(variable).cloned());
        Ok(Self { server: recipe.name.clone(), url, sign_in: sign_in.clone(), client_secret })
    }
}

/// Whether nobody on the way can read or change what is sent there.
pub(crate) fn is_private(url: &Url) -> bool {
    let is_here = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    url.host_str().is_some() && (url.scheme() == "https" || url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_read_on_the_way_gets_a_token() {
        let good = ["https://e.org/mcp", "http://127.0.0.1:1/x", "http://localhost/", "http://[::1]:2/"];
        let bad = [
            "http://e.org/",
            "http://localhost.e.org/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "http://127.0.0.1.e.org/",
        ];
        let url = |text: &str| Url::parse(text).expect("address");
        assert!(good.iter().all(|text| is_private(&url(text))));
        for text in bad {
            assert!(!is_private(&url(text)), "{text}");
        }
    }
}
