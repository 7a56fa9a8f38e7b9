//! What can go wrong with personas.

use std::{error::Error as StdError, fmt, io, path::Path};

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PersonaErrorKind {
    /// The front matter does not read, or holds a key or value that does not fit.
    BadFrontMatter,
    /// The name, or the file name that it comes from, cannot be used.
    BadName,
    /// Two personas have one name.
    DuplicateName,
    /// A section stands twice.
    DuplicateSection,
    /// A file is not UTF-8, or holds a NUL character.
    InvalidText,
    /// The judge stands in a selection of personas; it takes part in any case.
    JudgeSelected,
    /// The persona folder does not exist, or is no folder.
    MissingFolder,
    /// No persona is the judge.
    NoJudge,
    /// There is no persona beside the judge.
    NoPersonas,
    /// A persona has no soul.
    NoSoul,
    /// Several things are wrong: see [`PersonaError::parts`].
    Several,
    /// A file is larger than 256 KiB.
    TooLarge,
    /// More than one persona is the judge.
    TwoJudges,
    /// A selection names somebody who is not there.
    UnknownPersona,
    /// The system refused to read a file or folder.
    Unreadable,
}

/// An error of personas: its kind, what it is about, and what caused it.
pub struct PersonaError {
    kind: PersonaErrorKind,
    context: String,
    source: Option<io::Error>,
    parts: Vec<Self>,
}

impl PersonaError {
    pub(super) fn new(kind: PersonaErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None, parts: Vec::new() }
    }

    /// The system refused to read `what` at `path`.
    pub(super) fn unreadable(what: &str, path: &Path, source: io::Error) -> Self {
        let context = format!("cannot read the {what} {}", shown(path));
        Self { source: Some(source), ..Self::new(PersonaErrorKind::Unreadable, context) }
    }

    /// At least one error as one.
    pub(super) fn joined(mut errors: Vec<Self>) -> Self {
        if errors.len() == 1 {
            return errors.remove(0);
        }
        let context = errors.iter().map(Self::with_cause).collect::<Vec<_>>().join("; ");
        Self { parts: errors, ..Self::new(PersonaErrorKind::Several, context) }
    }

    /// What kind of trouble it is.
    pub const fn kind(&self) -> PersonaErrorKind {
        self.kind
    }

    /// The single errors of which this one is made: itself, unless it is
    /// [`PersonaErrorKind::Several`].
    pub fn parts(&self) -> &[Self] {
        if self.parts.is_empty() { std::slice::from_ref(self) } else { &self.parts }
    }

    /// Among several errors a cause would not be shown by `source()`.
    fn with_cause(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source}", self.context),
            None => self.context.clone(),
        }
    }
}

impl fmt::Display for PersonaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl fmt::Debug for PersonaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonaError")
            .field("kind", &self.kind)
            .field("context", &self.context)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for PersonaError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A path on one line, whatever its name holds.
pub(super) fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

/// A text on one line: control characters are escaped.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
