//! The parts of the test command.

use std::str::FromStr;

/// A part of `cargo xtask test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Fmt,
    Purity,
    Clippy,
    Doc,
    Unit,
    Doctest,
    Real,
    Examples,
}

impl Part {
    /// All parts, cheap and telling ones first.
    pub(crate) const ALL: [Self; 8] = [
        Self::Fmt,
        Self::Purity,
        Self::Clippy,
        Self::Doc,
        Self::Examples,
        Self::Unit,
        Self::Doctest,
        Self::Real,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Purity => "purity",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Unit => "unit",
            Self::Doctest => "doctest",
            Self::Real => "real",
            Self::Examples => "examples",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Fmt => "the code is formatted",
            Self::Purity => "the pure crates depend on no runtime, clock or randomness",
            Self::Clippy => "no lint fires, in any target with any feature",
            Self::Doc => "the documentation builds without warnings",
            Self::Unit => "unit and integration tests, without real runtimes",
            Self::Doctest => "the examples in the documentation",
            Self::Real => {
                "tests with the real runtime binaries, PostgreSQL, socat and strace, which are fetched first"
            }
            Self::Examples => "the example hosts build as the README's first command builds them",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown part `{name}`; known: {known}")
        })
    }
}
