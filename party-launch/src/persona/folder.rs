//! Reads a folder of personas.

use super::{
    Persona, PersonaError, PersonaErrorKind,
    error::{one_line, shown},
    parse,
};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// No persona is longer; a file that is was not meant to be one.
const FILE_LIMIT: u64 = 256 * 1024;

/// Something in a folder: its name as text, and its path.
#[derive(Debug)]
struct Found {
    name: String,
    path: PathBuf,
}

pub(super) fn load(folder: &Path) -> Result<Vec<Persona>, PersonaError> {
    let missing = |what: &str| {
        Err(PersonaError::new(
            PersonaErrorKind::MissingFolder,
            format!("the persona folder {} {what}", shown(folder)),
        ))
    };
    match fs::metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => return missing("is not a folder"),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return missing("does not exist"),
        Err(error) => return Err(PersonaError::unreadable("persona folder", folder, error)),
    }
    let (mut personas, mut errors) = (Vec::new(), Vec::new());
    for found in list(folder)? {
        match load_one(&found) {
            Ok(persona) => personas.extend(persona),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(personas) } else { Err(PersonaError::joined(errors)) }
}

/// What a folder holds, hidden files aside, in alphabetical order.
fn list(folder: &Path) -> Result<Vec<Found>, PersonaError> {
    let unreadable = |error| PersonaError::unreadable("folder", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push(Found { name, path });
        }
    }
    found.sort_by_cached_key(|found| (found.name.to_lowercase(), found.path.clone()));
    Ok(found)
}

/// The persona that a file or folder holds; none where it is not meant to be one.
fn load_one(found: &Found) -> Result<Option<Persona>, PersonaError> {
    let metadata = fs::metadata(&found.path);
    let stem = markdown_stem(&found.name);
    match (metadata, stem) {
        (Ok(metadata), _) if metadata.is_dir() => load_folder(found).map(Some),
        (_, Some(stem)) if stem.eq_ignore_ascii_case("readme") => Ok(None),
        (Ok(_), Some(stem)) => {
            check_name(found)?;
            parse::file(stem, &found.path, &read(&found.path)?).map(Some)
        }
        // A link that leads nowhere might have been a folder.
        (Err(error), stem) if stem.is_some() || !found.name.contains('.') => {
            Err(PersonaError::unreadable("persona", &found.path, error))
        }
        (_, _) => Ok(None),
    }
}

fn load_folder(found: &Found) -> Result<Persona, PersonaError> {
    check_name(found)?;
    let files = list(&found.path)?;
    let part = |section: &str| -> Result<Option<(&Found, String)>, PersonaError> {
        let is_part =
            |file: &&Found| markdown_stem(&file.name).is_some_and(|stem| stem.eq_ignore_ascii_case(section));
        let mut parts = files.iter().filter(is_part);
        match (parts.next(), parts.next()) {
            (Some(_), Some(second)) => Err(PersonaError::new(
                PersonaErrorKind::DuplicateSection,
                format!(
                    "{}: the folder has a file `{section}.md` already, in other case",
                    shown(&second.path)
                ),
            )),
            (Some(file), None) => Ok(Some((file, read(&file.path)?))),
            (None, _) => Ok(None),
        }
    };
    let Some((soul_file, soul)) = part("soul")? else {
        let context = format!("the persona folder {} has no soul: a file SOUL.md", shown(&found.path));
        return Err(PersonaError::new(PersonaErrorKind::NoSoul, context));
    };
    let (rules, voice) = (part("rules")?, part("voice")?);
    parse::folder(
        &found.name,
        &found.path,
        &soul_file.path,
        &soul,
        rules.as_ref().map(|(_, text)| text.as_str()),
        voice.as_ref().map(|(_, text)| text.as_str()),
    )
}

/// A name that is no UTF-8 would be shown with other characters than it has.
fn check_name(found: &Found) -> Result<(), PersonaError> {
    if found.path.file_name().is_some_and(|name| name.to_str().is_some()) {
        return Ok(());
    }
    let context = format!("the name of {} is not UTF-8", shown(&found.path));
    Err(PersonaError::new(PersonaErrorKind::BadName, context))
}

/// The name of a Markdown file without its ending.
fn markdown_stem(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    (ending.eq_ignore_ascii_case("md") && !stem.is_empty()).then_some(stem)
}

fn read(path: &Path) -> Result<String, PersonaError> {
    let unreadable = |error| PersonaError::unreadable("persona file", path, error);
    // A pipe or a device could keep the reader waiting for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        let context = format!("{} is not a regular file", shown(path));
        return Err(PersonaError::new(PersonaErrorKind::Unreadable, context));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT {
        let context = format!("{} is larger than {} KiB", shown(path), FILE_LIMIT / 1024);
        return Err(PersonaError::new(PersonaErrorKind::TooLarge, context));
    }
    let invalid = |what: String| {
        PersonaError::new(PersonaErrorKind::InvalidText, format!("{} {}", shown(path), one_line(&what)))
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        invalid(format!("is not UTF-8, from byte {} on", error.utf8_error().valid_up_to()))
    })?;
    match text.lines().position(|line| line.contains('\0')) {
        Some(line) => Err(invalid(format!("holds a NUL character in line {}", line + 1))),
        None => Ok(text),
    }
}
