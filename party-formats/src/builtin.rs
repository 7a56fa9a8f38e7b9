//! Formats that ship with Party. They are files like any other.

use crate::Format;

impl Format {
    /// Personas answer the same prompt side by side, in rounds; a judge writes the final answer.
    /// Roles: `persona` and one `judge`.
    pub fn council() -> Self {
        Self::shipped(include_str!("../formats/council.yaml"))
    }

    /// Everyone sees and may answer everyone, at most twice per human message; the discussion ends
    /// by itself. Roles: `lead`, at most one, and `participant`.
    pub fn forum() -> Self {
        Self::shipped(include_str!("../formats/forum.yaml"))
    }

    fn shipped(text: &str) -> Self {
        Self::from_yaml(text).expect("invariant: the shipped formats are valid, shown by a test")
    }
}

/// The default is the [forum](Format::forum).
impl Default for Format {
    fn default() -> Self {
        Self::forum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a010_forum_is_the_default_and_shipped_formats_load() {
        assert_eq!(Format::default().name, "forum");
        assert_eq!(Format::council().name, "council");
    }
}
