//! From a text to a persona: front matter and sections.

use super::{
    Persona, PersonaError, PersonaErrorKind, PersonaRole,
    error::{one_line, shown},
};
use serde::Deserialize;
use std::path::Path;

const SECTIONS: [&str; 3] = ["soul", "rules", "voice"];

const NAME_LIMIT: usize = 64;

/// Reads the text of `NAME.md`. `stem` is the file's name without its ending.
pub(super) fn file(stem: &str, path: &Path, text: &str) -> Result<Persona, PersonaError> {
    let text = plain(text);
    let (front, body) = front_matter(path, &text)?;
    let sections = sections(path, body)?;
    let [soul, rules, voice] = sections.named;
    let soul = soul.unwrap_or(sections.before);
    persona(stem, path, front, &soul, rules, voice)
}

/// Reads the texts of `SOUL.md`, `RULES.md` and `VOICE.md` of a folder. `soul_path` is where the
/// front matter stands; `path` is the folder.
pub(super) fn folder(
    stem: &str,
    path: &Path,
    soul_path: &Path,
    soul: &str,
    rules: Option<&str>,
    voice: Option<&str>,
) -> Result<Persona, PersonaError> {
    let soul = plain(soul);
    let (front, soul) = front_matter(soul_path, &soul)?;
    let part = |text: Option<&str>, heading| text.map(|text| without_heading(&plain(text), heading));
    persona(stem, path, front, &without_heading(soul, "soul"), part(rules, "rules"), part(voice, "voice"))
}

fn persona(
    stem: &str,
    path: &Path,
    front: Front,
    soul: &str,
    rules: Option<String>,
    voice: Option<String>,
) -> Result<Persona, PersonaError> {
    if !says_something(soul) {
        let context = format!("{} has no soul: the section or file that says how it thinks", shown(path));
        return Err(PersonaError::new(PersonaErrorKind::NoSoul, context));
    }
    let name = name(stem, path, front.name)?;
    let named_judge = ["maat", "judge"].contains(&stem.to_lowercase().as_str());
    let by_name = if named_judge { PersonaRole::Judge } else { PersonaRole::Persona };
    let present = |text: Option<String>| text.filter(|text| says_something(text));
    Ok(Persona {
        name,
        role: front.role.unwrap_or(by_name),
        title: front.title,
        harness: front.harness,
        model: front.model,
        weight: front.weight,
        soul: soul.trim().to_owned(),
        rules: present(rules),
        voice: present(voice),
        origin: Some(path.to_owned()),
    })
}

fn name(stem: &str, path: &Path, front: Option<String>) -> Result<String, PersonaError> {
    let name = front.unwrap_or_else(|| capitalised(stem));
    let name = name.trim();
    let fits = |c: char| !c.is_control() && c != ',';
    if !name.is_empty() && name.chars().count() <= NAME_LIMIT && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    let context = format!(
        "{}: a persona cannot be named `{}`; expected 1 to {NAME_LIMIT} characters on one line, without commas",
        shown(path),
        one_line(name)
    );
    Err(PersonaError::new(PersonaErrorKind::BadName, context))
}

fn capitalised(stem: &str) -> String {
    let mut chars = stem.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The text without a byte order mark, and with plain line ends.
fn plain(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

/// What may stand between `---` and `---`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Front {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    role: Option<PersonaRole>,
    #[serde(default)]
    harness: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    weight: Option<f64>,
}

/// Splits a text that begins with a line `---` at the next such line.
fn front_matter<'t>(path: &Path, text: &'t str) -> Result<(Front, &'t str), PersonaError> {
    let mut lines = text.split_inclusive('\n');
    let Some(opening) = lines.next().filter(|line| line.trim_end() == "---") else {
        return Ok((Front::default(), text));
    };
    let mut end = opening.len();
    for line in lines {
        if line.trim_end() == "---" {
            let front = read_front(path, &text[..end])?;
            return Ok((front, &text[end + line.len()..]));
        }
        end += line.len();
    }
    Err(bad_front(path, 1, "the front matter is not closed by a line `---`"))
}

/// Reads front matter with its opening line, which YAML takes for the begin of a document: so the
/// lines are those of the file.
fn read_front(path: &Path, yaml: &str) -> Result<Front, PersonaError> {
    if yaml.lines().skip(1).all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Front::default());
    }
    let front: Front = serde_saphyr::from_str(yaml).map_err(|error| {
        let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1).max(1));
        let why = error.without_snippet().to_string();
        let why = why.lines().next().unwrap_or_default();
        // Its own place and its advice to programmers are not for the one who wrote the file.
        let why = why.rsplit_once(" at line ").map_or(why, |(why, _)| why);
        let why = why.split_once(", set DuplicateKeyPolicy").map_or(why, |(why, _)| why);
        // The error tells what does not fit, not always where it stands.
        let key = yaml.lines().nth(line - 1).and_then(|line| line.split_once(':')).map(|(key, _)| key.trim());
        match key.filter(|key| !key.is_empty() && !why.contains(key)) {
            Some(key) => bad_front(path, line, &format!("`{key}`: {why}")),
            None => bad_front(path, line, why),
        }
    })?;
    let texts = [("title", &front.title), ("harness", &front.harness), ("model", &front.model)];
    for (key, text) in texts {
        if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().any(char::is_control)) {
            return Err(bad_front(path, line_of(yaml, key), &format!("`{key}`: expected one line of text")));
        }
    }
    if front.weight.is_some_and(|weight| !weight.is_finite() || weight <= 0.0) {
        return Err(bad_front(path, line_of(yaml, "weight"), "`weight`: expected a number above 0"));
    }
    Ok(front)
}

/// The line of the file where a key of the front matter stands.
fn line_of(yaml: &str, key: &str) -> usize {
    let is_key = |line: &str| line.split_once(':').is_some_and(|(found, _)| found.trim() == key);
    yaml.lines().position(is_key).map_or(1, |index| index + 1)
}

fn bad_front(path: &Path, line: usize, why: &str) -> PersonaError {
    let context = format!("{} line {line}: {}", shown(path), one_line(why));
    PersonaError::new(PersonaErrorKind::BadFrontMatter, context)
}

/// A text cut at its section headings.
#[derive(Debug, Default)]
struct Sections {
    /// What stands before the first of them.
    before: String,
    /// Soul, rules and voice.
    named: [Option<String>; 3],
}

/// Cuts at headings of sections. One that is deeper than the first of them belongs to the text, and
/// so does every other heading, and whatever stands in a fenced block.
fn sections(path: &Path, text: &str) -> Result<Sections, PersonaError> {
    let mut sections = Sections::default();
    let (mut current, mut depth, mut fence) = (None, usize::MAX, None);
    for line in text.split_inclusive('\n') {
        let heading = if in_fence(&mut fence, line) { None } else { section_heading(line) };
        match heading.filter(|(level, _)| *level <= depth) {
            Some((_, section)) if sections.named[section].is_some() => {
                let context = format!("{}: section `{}` stands twice", shown(path), SECTIONS[section]);
                return Err(PersonaError::new(PersonaErrorKind::DuplicateSection, context));
            }
            Some((level, section)) => {
                sections.named[section] = Some(String::new());
                (current, depth) = (Some(section), depth.min(level));
            }
            None => match current.and_then(|section: usize| sections.named[section].as_mut()) {
                Some(text) => text.push_str(line),
                None => sections.before.push_str(line),
            },
        }
    }
    for text in sections.named.iter_mut().flatten() {
        *text = text.trim().to_owned();
    }
    Ok(sections)
}

/// Follows fenced blocks from line to line; whether `line` belongs to one.
fn in_fence(fence: &mut Option<(char, usize)>, line: &str) -> bool {
    let text = line.trim();
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'));
    let length = mark.map_or(0, |mark| text.chars().take_while(|c| *c == mark).count());
    match (*fence, mark) {
        (Some((open, least)), Some(mark)) if mark == open && length >= least && length == text.len() => {
            *fence = None;
            true
        }
        (Some(_), _) => true,
        (None, Some(mark)) if length >= 3 => {
            *fence = Some((mark, length));
            true
        }
        (None, _) => false,
    }
}

/// The level of a heading and which section it names.
fn section_heading(line: &str) -> Option<(usize, usize)> {
    let (level, title) = heading(line)?;
    let title = title.trim_end_matches([':', '#', ' ']).to_lowercase();
    Some((level, SECTIONS.iter().position(|section| *section == title)?))
}

/// The level and the title of a Markdown heading.
fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches(' ');
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    let is_heading = line.len() - text.len() <= 3
        && (1..=6).contains(&level)
        && (title.trim().is_empty() || title.starts_with([' ', '\t']));
    is_heading.then(|| (level, title.trim()))
}

/// The text without a first line that only repeats which section it is.
fn without_heading(text: &str, section: &str) -> String {
    let text = text.trim();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let repeats = section_heading(first).is_some_and(|(_, found)| SECTIONS[found] == section);
    if repeats { rest.trim().to_owned() } else { text.to_owned() }
}

/// Whether a text holds more than headings and empty lines.
fn says_something(text: &str) -> bool {
    text.lines().any(|line| !line.trim().is_empty() && heading(line).is_none())
}
