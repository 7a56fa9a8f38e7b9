//! Where a server is, and the secret that opens it.

use crate::{Error, ErrorKind, Result};
use std::{fmt, net::SocketAddr, path::PathBuf};
use tokio_tungstenite::tungstenite::http::Uri;

/// The port of a `ws://` address that names none.
const PORT: u16 = 80;

/// A server on this machine.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A loopback address, and the path with its query, such as `/`.
    Tcp { at: SocketAddr, path: String },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The path and query of an address are left out: they may hold a secret.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { at, .. } => write!(f, "ws://{at}/…"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Address {
    /// The root of a server at a loopback address.
    pub(crate) fn tcp(at: SocketAddr) -> Self {
        Self::Tcp { at, path: "/".to_owned() }
    }

    /// Reads `ws://IP:PORT/PATH`, or `unix:///PATH`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no such address, or is one of another machine. The address
    /// itself is not repeated: it may hold a secret.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(relative()) };
        }
        let uri: Uri = url.parse().map_err(|_| invalid("it is no url; write `ws://127.0.0.1:PORT`"))?;
        let (Some("ws"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(invalid(
                "only `ws://` to this machine is spoken; end the encryption in a tunnel on a loopback port",
            ));
        };
        if authority.as_str().contains('@') {
            return Err(invalid("it holds a user or password; give the token apart from it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ip = host.parse::<std::net::IpAddr>();
        let ip = ip.map_err(|_| invalid("its host is a name; write a loopback ip such as `127.0.0.1`"))?;
        if !ip.to_canonical().is_loopback() {
            return Err(invalid(
                "plain `ws://` would show the token to the network; make a tunnel, such as \
                 `ssh -L PORT:127.0.0.1:PORT HOST`, and name its end on 127.0.0.1",
            ));
        }
        let at = SocketAddr::new(ip, authority.port_u16().unwrap_or(PORT));
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self::Tcp { at, path })
    }

    /// What the upgrade is addressed to.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Tcp { at, path } => format!("ws://{at}{path}"),
            Self::Unix(_) => "ws://localhost/".to_owned(),
        }
    }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the server's address cannot be used: {why}"))
}

fn relative() -> Error {
    invalid("`unix://` takes an absolute path")
}

/// A secret that is shown to a server; never to a reader of logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bearer(String);

impl Bearer {
    pub(crate) fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_this_machine_is_read() {
        let tcp = |at: &str, path: &str| Address::Tcp { at: at.parse().unwrap(), path: path.into() };
        for (url, expected) in [
            ("ws://127.0.0.1:4500", tcp("127.0.0.1:4500", "/")),
            ("ws://127.8.8.8:1/a/b?c=d", tcp("127.8.8.8:1", "/a/b?c=d")),
            ("ws://[::1]:9", tcp("[::1]:9", "/")),
            ("ws://[::ffff:127.0.0.1]:9", tcp("[::ffff:127.0.0.1]:9", "/")),
            ("ws://127.0.0.1", tcp("127.0.0.1:80", "/")),
            ("unix:///run/codex.sock", Address::Unix("/run/codex.sock".into())),
        ] {
            assert_eq!(Address::parse(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn a_server_elsewhere_is_refused_with_what_to_do() {
        for (url, word) in [
            ("ws://10.0.0.1:4500", "tunnel"),
            ("ws://0.0.0.0:4500", "tunnel"),
            ("ws://[::]:4500", "tunnel"),
            ("ws://127.0.0.1.evil.example:4500", "loopback ip"),
            ("ws://localhost:4500", "loopback ip"),
            ("ws://2130706433:4500", "loopback ip"),
            ("wss://example.org", "tunnel"),
            ("http://127.0.0.1:1", "tunnel"),
            ("ws://user:sk-secret@127.0.0.1:1", "apart"),
            ("unix://relative", "absolute"),
            ("127.0.0.1:4500", "`ws://`"),
            ("", "url"),
            ("ws://", "url"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(word), "{url}: {error}");
            assert!(!error.to_string().contains("sk-secret"));
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Bearer::new("sk-secret")), "Bearer(…)");
        let address = Address::parse("ws://127.0.0.1:9/sk-path?token=sk-secret").unwrap();
        assert_eq!(format!("{address:?}"), "ws://127.0.0.1:9/…");
    }
}
