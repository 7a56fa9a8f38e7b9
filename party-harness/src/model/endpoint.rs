//! Where a model API is, and what may be sent there.

use super::wire::Wire;
use crate::{Environment, Error, ErrorKind, Result};
use reqwest::{Url, header::HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::IpAddr;

/// Where the credential comes from. Its value is never shown.
#[derive(Debug, Clone, Default)]
pub(super) enum Key {
    /// None is needed.
    #[default]
    None,
    Given(SecretString),
    /// The variable of this name.
    Variable(String),
}

impl Key {
    /// The header's value for a wire; `env` is looked up before this process's own environment.
    pub(super) fn header(&self, wire: Wire, env: &Environment) -> Result<Option<HeaderValue>> {
        let key = match self {
            Self::None => return Ok(None),
            Self::Given(key) => key.clone(),
            Self::Variable(name) => {
                let value = env.get(name).cloned().or_else(|| std::env::var(name).ok());
                let value = value.filter(|value| !value.trim().is_empty()).ok_or_else(|| {
                    let context =
                        format!("the variable `{name}` is not set; put the model api's key into it");
                    Error::new(ErrorKind::Missing, context)
                })?;
                value.trim().into()
            }
        };
        let value = format!("{}{}", wire.key_header().1, key.expose_secret());
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            // The cause would show it.
            Error::new(ErrorKind::Invalid, "the model api's key holds characters that no key has")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Reads an endpoint's address, and sees to it that a key cannot be read on its way.
pub(super) fn read(text: &str, allows_plain: bool) -> Result<Url> {
    let invalid = |why: &str| Error::new(ErrorKind::Invalid, format!("the model api's address {why}"));
    let mut url: Url = text.parse().map_err(|_| invalid("is no url, such as https://api.example.com/v1"))?;
    let has_secret = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if has_secret || url.fragment().is_some() {
        return Err(invalid("holds more than host and path; a key is given by `key` or `key_from`"));
    }
    match url.scheme() {
        "https" => {}
        "http" if allows_plain || is_loopback(&url) => {}
        "http" => return Err(invalid("is plain http to another machine; use https, or `allow_plain_http`")),
        _ => return Err(invalid("begins neither with https:// nor with http://")),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The whole address of a call: the wire's path behind the endpoint's, without a version twice.
pub(super) fn join(endpoint: &Url, path: &[String], query: Option<&str>) -> Url {
    let mut url = endpoint.clone();
    let last = endpoint.path_segments().and_then(|mut parts| parts.next_back().map(str::to_owned));
    let doubled = last.is_some() && last.as_ref() == path.first();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(&path[usize::from(doubled)..]);
    }
    url.set_query(query);
    url
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_nowhere_where_it_can_be_read() {
        for good in
            ["https://api.openai.com/v1/", "http://127.0.0.1:11434/v1", "http://[::1]:1", "http://localhost"]
        {
            assert!(read(good, false).is_ok(), "{good}");
        }
        let bad = [
            "http://10.0.0.7/v1",
            "http://localhost.evil.example/v1",
            "http://127.0.0.1.evil.example",
            "https://user:secret@host/v1",
            "https://host/v1?key=secret",
            "ftp://host",
            "not a url",
            "",
        ];
        for bad in bad {
            let error = read(bad, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert!(read("http://10.0.0.7/v1", true).is_ok());
    }

    #[test]
    fn the_path_of_a_wire_stands_behind_the_endpoint_s() {
        let url = |endpoint: &str, wire: Wire, model: &str| {
            join(&read(endpoint, false).unwrap(), &wire.path(model), wire.query()).to_string()
        };
        assert_eq!(url("https://a", Wire::Anthropic, "m"), "https://a/v1/messages");
        assert_eq!(url("https://a/x/v1/", Wire::Anthropic, "m"), "https://a/x/v1/messages");
        assert_eq!(url("https://a/v1", Wire::OpenAi, "m"), "https://a/v1/chat/completions");
        let gemini = "https://a/v1beta/models/m:streamGenerateContent?alt=sse";
        assert_eq!(url("https://a", Wire::Gemini, "models/m"), gemini);
        assert_eq!(url("https://a/v1beta", Wire::Gemini, "m"), gemini);
        let hostile = url("https://a", Wire::Gemini, "../../x?key=1#y");
        assert_eq!(hostile, "https://a/v1beta/models/..%2F..%2Fx%3Fkey=1%23y:streamGenerateContent?alt=sse");
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = Key::Given("sk-secret".into());
        assert!(!format!("{key:?}").contains("sk-secret"));
        let header = key.header(Wire::OpenAi, &Environment::default()).unwrap().unwrap();
        assert!(!format!("{header:?}").contains("sk-secret"));
        let error =
            Key::Given("sk-\nsecret".into()).header(Wire::OpenAi, &Environment::default()).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }

    #[test]
    fn a_variable_is_read_from_the_runtime_s_environment() {
        let key = Key::Variable("PARTY_TEST_NO_SUCH_KEY".to_owned());
        let error = key.header(Wire::Gemini, &Environment::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains("PARTY_TEST_NO_SUCH_KEY"), "{error}");
        let env = [("PARTY_TEST_NO_SUCH_KEY".to_owned(), " k \n".to_owned())].into_iter().collect();
        assert_eq!(key.header(Wire::Gemini, &env).unwrap().unwrap(), "k");
    }
}
