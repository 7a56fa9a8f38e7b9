//! Who takes part: personas as files.

mod error;
mod folder;
mod parse;
mod roster;
#[cfg(test)]
mod tests;

pub use error::{PersonaError, PersonaErrorKind};
pub use roster::Roster;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a persona does in a council.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum PersonaRole {
    /// It gives its opinion.
    #[default]
    Persona,
    /// It writes the final answer.
    Judge,
}

impl PersonaRole {
    /// The role's name in front matter and in the council format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Persona => "persona",
            Self::Judge => "judge",
        }
    }
}

/// A way of thinking that an agent takes on.
///
/// A persona is one file `NAME.md` with front matter and the sections Soul, Rules and Voice, or a
/// folder `NAME/` with `SOUL.md`, `RULES.md` and `VOICE.md`, where the front matter stands in
/// `SOUL.md`. Names of sections and files match regardless of case; rules and voice may be missing.
/// A file without section headings is all soul.
///
/// ```text
/// ---
/// name: Ada                 # else the name of the file or folder, with a capital first letter
/// title: compiler engineer
/// role: persona             # or judge; without it a file or folder named maat or judge is one
/// harness: claude           # where it runs; this, model and weight are optional
/// ---
///
/// ## Soul
/// You are Ada. You look first for ...
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Persona {
    /// Its name; one line, without commas.
    pub name: String,
    /// What it does in a council.
    pub role: PersonaRole,
    /// What it is, in a few words.
    pub title: Option<String>,
    /// The harness that it wants to run on.
    pub harness: Option<String>,
    /// The model that it wants.
    pub model: Option<String>,
    /// How much its opinion weighs beside others, above 0; 1 where absent.
    pub weight: Option<f64>,
    /// How it thinks.
    pub soul: String,
    /// What it must and must not do.
    pub rules: Option<String>,
    /// How it speaks.
    pub voice: Option<String>,
    /// The file or folder that it was read from.
    pub origin: Option<PathBuf>,
}

impl Persona {
    /// A persona of a host's own, without rules, voice or wishes.
    pub fn new(name: impl Into<String>, role: PersonaRole, soul: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role,
            title: None,
            harness: None,
            model: None,
            weight: None,
            soul: soul.into(),
            rules: None,
            voice: None,
            origin: None,
        }
    }

    /// The personas that ship with Party: Mary, John, Winston and James, and Maat, the judge.
    pub fn shipped() -> Vec<Self> {
        let files = [
            ("mary", include_str!("../../personas/mary.md")),
            ("john", include_str!("../../personas/john.md")),
            ("winston", include_str!("../../personas/winston.md")),
            ("james", include_str!("../../personas/james.md")),
            ("maat", include_str!("../../personas/maat.md")),
        ];
        let read = |(stem, text)| {
            let persona = parse::file(stem, Path::new(stem), text);
            let persona = persona.expect("invariant: the tests read every shipped file");
            Self { origin: None, ..persona }
        };
        files.map(read).into()
    }

    /// Reads a folder of personas, in alphabetical order of their file names.
    ///
    /// Hidden files, `README.md`, files that do not end in `.md`, and whatever a persona's folder
    /// holds beside its three files are left out. Symbolic links are followed. It blocks while it
    /// reads.
    ///
    /// # Errors
    /// [`PersonaError`] names the file; where several are broken it tells of each.
    pub fn load_dir(path: &Path) -> Result<Vec<Self>, PersonaError> {
        folder::load(path)
    }

    /// The persona as a system prompt: who it is, then soul, rules and voice in this order. The
    /// same persona gives the same bytes.
    pub fn prompt(&self) -> String {
        let mut prompt = format!("# {}", self.name);
        if let Some(title) = &self.title {
            prompt.push_str(", ");
            prompt.push_str(title);
        }
        prompt.push('\n');
        let sections =
            [("Soul", Some(&self.soul)), ("Rules", self.rules.as_ref()), ("Voice", self.voice.as_ref())];
        for (heading, text) in sections {
            if let Some(text) = text.map(|text| text.trim()).filter(|text| !text.is_empty()) {
                prompt.push_str(&format!("\n## {heading}\n\n{text}\n"));
            }
        }
        prompt
    }

    /// The name, and where it was read from: for errors.
    fn described(&self) -> String {
        match &self.origin {
            Some(origin) => format!("{} ({})", error::one_line(&self.name), error::shown(origin)),
            None => error::one_line(&self.name),
        }
    }
}
