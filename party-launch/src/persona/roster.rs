//! Who sits in a council: personas and one judge.

use super::{Persona, PersonaError, PersonaErrorKind, PersonaRole, error::one_line};
use std::collections::BTreeMap;

/// The personas of a council in the order in which they are seated, and its judge.
///
/// ```
/// use party_launch::{Persona, Roster};
///
/// let roster = Roster::new(Persona::shipped())?.select(&["winston", "Mary"])?;
/// let names: Vec<_> = roster.personas.iter().map(|persona| persona.name.as_str()).collect();
/// assert_eq!((names, roster.judge.name.as_str()), (vec!["Winston", "Mary"], "Maat"));
/// # Ok::<(), party_launch::PersonaError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Roster {
    /// Who gives an opinion; at least one.
    pub personas: Vec<Persona>,
    /// Who writes the final answer.
    pub judge: Persona,
}

impl Roster {
    /// Sets the judge apart; the others keep their order.
    ///
    /// # Errors
    /// Two of one name (regardless of case), no judge, more than one, or nobody else.
    pub fn new(all: Vec<Persona>) -> Result<Self, PersonaError> {
        let mut errors = duplicates(&all);
        let is_judge = |persona: &Persona| persona.role == PersonaRole::Judge;
        let (mut judges, personas): (Vec<_>, Vec<_>) = all.into_iter().partition(is_judge);
        if personas.is_empty() {
            errors.push(PersonaError::new(
                PersonaErrorKind::NoPersonas,
                "there is no persona that could give an opinion",
            ));
        }
        if judges.len() > 1 {
            let names = judges.iter().map(Persona::described).collect::<Vec<_>>().join(", ");
            let context = format!("more than one persona is the judge: {names}");
            errors.push(PersonaError::new(PersonaErrorKind::TwoJudges, context));
        }
        let Some(judge) = judges.pop() else {
            let known = names(&personas);
            let context = format!(
                "no persona is the judge, which `role: judge` in its front matter says; found: {known}"
            );
            errors.push(PersonaError::new(PersonaErrorKind::NoJudge, context));
            return Err(PersonaError::joined(errors));
        };
        if errors.is_empty() { Ok(Self { personas, judge }) } else { Err(PersonaError::joined(errors)) }
    }

    /// The same judge with the named personas only, in the order of the names. Names match
    /// regardless of case.
    ///
    /// # Errors
    /// A name that is unknown, named twice, or the judge's; or no name at all.
    pub fn select(self, names: &[&str]) -> Result<Self, PersonaError> {
        let known = self::names(&self.personas);
        let refuse = |kind, context: String| Err(PersonaError::new(kind, context));
        if names.is_empty() {
            return refuse(PersonaErrorKind::NoPersonas, format!("no persona is selected; known: {known}"));
        }
        let mut seated: BTreeMap<String, Persona> =
            self.personas.into_iter().map(|persona| (key(&persona.name), persona)).collect();
        let (mut personas, mut unknown) = (Vec::<Persona>::new(), Vec::new());
        for name in names.iter().map(|name| name.trim()) {
            let shown = one_line(name);
            if key(name) == key(&self.judge.name) {
                let context =
                    format!("`{shown}` is the judge, who takes part in any case; name others: {known}");
                return refuse(PersonaErrorKind::JudgeSelected, context);
            }
            match seated.remove(&key(name)) {
                Some(persona) => personas.push(persona),
                None if personas.iter().any(|persona| key(&persona.name) == key(name)) => {
                    return refuse(PersonaErrorKind::DuplicateName, format!("`{shown}` is selected twice"));
                }
                None => unknown.push(format!("`{shown}`")),
            }
        }
        if !unknown.is_empty() {
            let context = format!("unknown persona {}; known: {known}", unknown.join(", "));
            return refuse(PersonaErrorKind::UnknownPersona, context);
        }
        Ok(Self { personas, judge: self.judge })
    }
}

/// What makes a name the same as another.
fn key(name: &str) -> String {
    name.to_lowercase()
}

fn names(personas: &[Persona]) -> String {
    let names: Vec<_> = personas.iter().map(|persona| one_line(&persona.name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn duplicates(all: &[Persona]) -> Vec<PersonaError> {
    let mut by_name: BTreeMap<String, Vec<&Persona>> = BTreeMap::new();
    for persona in all {
        by_name.entry(key(&persona.name)).or_default().push(persona);
    }
    let several = by_name.into_values().filter(|same| same.len() > 1);
    several
        .map(|same| {
            let who: Vec<_> = same.iter().map(|persona| persona.described()).collect();
            let context = format!("personas of one name: {}", who.join(", "));
            PersonaError::new(PersonaErrorKind::DuplicateName, context)
        })
        .collect()
}
