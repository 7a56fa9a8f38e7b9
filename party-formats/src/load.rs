//! Formats from files: YAML, and JSON with it.

use crate::{Format, FormatError};

/// A format that cannot be read from text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The text is no YAML, or a key or value does not fit.
    #[error("line {line}, column {column}: {why}")]
    Syntax {
        /// The line, counted from 1; 0 where the reader cannot tell.
        line: u64,
        /// The column, counted from 1; 0 where the reader cannot tell.
        column: u64,
        /// What does not fit, in one line.
        why: String,
    },
    /// The format reads well and makes no sense.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl Format {
    /// Reads a format from YAML or JSON and validates it.
    ///
    /// # Errors
    /// [`LoadError`] names line and key, or the place that makes no sense.
    pub fn from_yaml(text: &str) -> Result<Self, LoadError> {
        let format: Self = serde_saphyr::from_str(text).map_err(|error| {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let why = error.to_string();
            LoadError::Syntax { line, column, why: why.lines().next().unwrap_or_default().to_owned() }
        })?;
        format.validate()?;
        Ok(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = "name: mine\nroles: {}\nintents: {}\nroundz: 2\n";
        let error = Format::from_yaml(text).unwrap_err();
        assert!(
            matches!(&error, LoadError::Syntax { line: 4, why, .. } if why.contains("roundz")),
            "{error}"
        );
    }

    #[test]
    fn an_undefined_intent_is_named_with_its_place() {
        let text = "name: mine\nroles: {lead: {intent: speak}}\nintents: {talk: {}}\n";
        let error = Format::from_yaml(text).unwrap_err();
        let expected =
            "format `mine`: roles.lead.intent names intent `speak`, which is not defined; defined: talk";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_loop_without_a_bound_is_refused_by_name() {
        let text = "name: mine\nroles: {lead: {intent: speak, reacts: speak}}\nintents: {speak: {}}\n";
        let error = Format::from_yaml(text).unwrap_err();
        assert!(matches!(error, LoadError::Format(FormatError::Unbounded { .. })), "{error}");
    }
}
