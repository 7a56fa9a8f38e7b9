//! How a store on a server is opened.

use crate::{Error, ErrorKind, Result};
use std::{fmt, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// How a [`PostgresBus`](super::PostgresBus) is opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// Where the server is: `postgres://user:password@host:port/database`, or `host=… user=…`.
    pub url: String,
    /// The schema that holds the store; any name that the server takes, it is quoted.
    pub schema: String,
    /// How long a call outlasts a server that is away or busy before it fails.
    pub patience: Duration,
    /// Whether messages are made findable by their words. Once a store was opened so, it stays so.
    pub search: bool,
    /// How many reads run at once.
    pub readers: usize,
    /// What makes a connection secure.
    pub tls: Option<Arc<dyn Tls>>,
}

impl PostgresOptions {
    /// The schema `party` of the database at `url`; a patience of 5 s, four readers, without search and
    /// without TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: "party".into(),
            patience: Duration::from_secs(5),
            search: false,
            readers: 4,
            tls: None,
        }
    }

    /// The same in another schema.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The same with another patience; more than a year counts as a year.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(Duration::from_secs(365 * 24 * 3_600));
        self
    }

    /// The same with messages that can be searched.
    #[must_use]
    pub const fn searchable(mut self) -> Self {
        self.search = true;
        self
    }

    /// The same over connections that `tls` makes secure, where the server offers it. Whether a plain one
    /// will do otherwise is said by `sslmode` in the url: `prefer`, as it is by default, or `require`.
    #[must_use]
    pub fn tls(mut self, tls: Arc<dyn Tls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The schema's name as an identifier in SQL.
    pub(super) fn quoted_schema(&self) -> Result<String> {
        let name = &self.schema;
        let broken = [
            (name.is_empty(), "is empty"),
            (name.len() > 63, "is longer than 63 bytes, which the server would cut"),
            (name.contains('\0'), "holds a NUL"),
            (name.starts_with("pg_"), "begins with `pg_`, which the server keeps to itself"),
        ];
        match broken.into_iter().find(|(is_broken, _)| *is_broken) {
            Some((_, why)) => Err(Error::new(ErrorKind::Invalid, format!("schema name {name:?} {why}"))),
            None => Ok(format!("\"{}\"", name.replace('"', "\"\""))),
        }
    }
}

/// The url may hold a password, so it is not shown.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, schema, patience, search, readers, tls } = self;
        f.debug_struct("PostgresOptions")
            .field("schema", schema)
            .field("patience", patience)
            .field("search", search)
            .field("readers", readers)
            .field("tls", &tls.is_some())
            .finish_non_exhaustive()
    }
}

/// A stream of bytes, plain or secure.
pub trait Channel: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Channel for T {}

/// Makes connections secure with whatever TLS library the host has.
#[crate::async_trait]
pub trait Tls: fmt::Debug + Send + Sync + 'static {
    /// Shakes hands over `plain` with the server named `host`, whose certificate it checks. Called once
    /// per connection; a dropped future ends the attempt.
    ///
    /// # Errors
    /// Why there is no secure connection.
    async fn secure(&self, host: &str, plain: Box<dyn Channel>) -> std::io::Result<Box<dyn Channel>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_is_quoted_or_refused() {
        let quoted = |name: &str| PostgresOptions::new("").schema(name).quoted_schema();
        assert_eq!(quoted("a\"b; DROP").unwrap(), "\"a\"\"b; DROP\"");
        for name in ["", "pg_party", "a\0b", &"x".repeat(64)] {
            assert_eq!(quoted(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", PostgresOptions::new("postgres://ann:secret@host/db")).contains("secret"));
    }
}
