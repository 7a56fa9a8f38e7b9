//! What can be known before the start: a format and a team fit, and how far it can go at most.

use crate::{Action, Format, FormatError, Intent, Role};
use party_core::{BudgetTerms, Usd};
use std::collections::BTreeSet;

/// So many seats, and so many triggers, a session may have.
pub(crate) const MOST_SEATS: usize = 1_024;

/// A member of a team: a name and a role of the format.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The seat's name.
    pub name: String,
    /// Its role.
    pub role: String,
}

impl Member {
    /// A member.
    pub fn new(name: impl Into<String>, role: impl Into<String>) -> Self {
        Self { name: name.into(), role: role.into() }
    }
}

/// How far a session can go per human message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// At most so many invocations, and so many turns. A seat that is called again, because it ended
    /// its turn without the tool call that its intent asks for, counts each time.
    pub invocations: u32,
    /// So many where no runtime fails: what a budget is divided by. Those that are called again are in
    /// it, so that there is money for them.
    pub planned: u32,
}

/// Checks a format and a team of a host that has no tools of its own, and gives the upper bound on what
/// one human message can cause.
///
/// # Errors
/// [`FormatError`] says what does not fit, or which loop has no bound.
pub fn check(format: &Format, team: &[Member]) -> Result<Bound, FormatError> {
    check_with(format, team, &[])
}

/// Like [`check`], for a host that has tools of these names.
///
/// # Errors
/// What [`check`] says.
pub fn check_with(format: &Format, team: &[Member], host_tools: &[&str]) -> Result<Bound, FormatError> {
    let bound = check_team(format, team)?;
    format.known_tools(host_tools)?;
    Ok(bound)
}

fn check_team(format: &Format, team: &[Member]) -> Result<Bound, FormatError> {
    format.validate()?;
    if team.len() > MOST_SEATS {
        let (format, role) = (format.name.clone(), "any role".to_owned());
        let expected = format!("at most {MOST_SEATS} seats");
        return Err(FormatError::SeatCount { format, role, expected, found: team.len() });
    }
    let mut names = BTreeSet::new();
    for member in team {
        format.known_role(&format!("seat `{}`", member.name), &member.role)?;
        if !names.insert(member.name.to_lowercase()) {
            return Err(FormatError::DuplicateSeat { name: member.name.clone() });
        }
    }
    for (name, role) in &format.roles {
        check_seats(format, name, role, seats_of(team, name))?;
    }
    Ok(bound(format, team))
}

/// What each turn of such a session sets aside: what `terms` say, else an equal part of the cap. Whether
/// the tools are there is not looked at.
///
/// # Errors
/// What [`check`] says of the team, and [`FormatError::NoRoom`] where the cap does not hold one turn beside the
/// money that is set aside for roles that speak last.
pub fn check_budget(format: &Format, team: &[Member], terms: BudgetTerms) -> Result<Usd, FormatError> {
    let bound = check_team(format, team)?;
    let per_turn = terms.per_turn.unwrap_or_else(|| terms.cap.part(bound.planned.into()));
    let is_reserved = |member: &&Member| format.roles.get(&member.role).is_some_and(|role| role.reserved);
    let reserved = team.iter().filter(is_reserved).count();
    let least: Usd = (0..=reserved).map(|_| per_turn).sum();
    if per_turn == Usd::ZERO || least > terms.cap {
        return Err(FormatError::NoRoom { cap: terms.cap, per_turn });
    }
    Ok(per_turn)
}

fn check_seats(format: &Format, name: &str, role: &Role, found: usize) -> Result<(), FormatError> {
    let (min, max) = (usize::from(role.seats.min), usize::from(role.seats.max));
    if (min..=max).contains(&found) {
        return Ok(());
    }
    let expected = match (min, max) {
        (min, max) if min == max => format!("exactly {min}"),
        (min, _) if found < min => format!("at least {min}"),
        (_, max) => format!("at most {max}"),
    };
    Err(FormatError::SeatCount { format: format.name.clone(), role: name.to_owned(), expected, found })
}

fn bound(format: &Format, team: &[Member]) -> Bound {
    let reactions = format.limits.reactions.unwrap_or(0);
    let mut bound = Bound { invocations: 0, planned: 0 };
    let mut add = |role: &str, intent: &str, planned: u32, most: u32| {
        let seats = u32::try_from(seats_of(team, role)).unwrap_or(u32::MAX);
        let turns = seats.saturating_mul(format.intents.get(intent).map_or(1, Intent::most_turns));
        bound.planned = bound.planned.saturating_add(turns.saturating_mul(planned));
        bound.invocations = bound.invocations.saturating_add(turns.saturating_mul(most));
    };
    for (name, role) in &format.roles {
        let opens = u32::from(role.fanout);
        add(name, &role.intent, opens, opens);
        if let Some(intent) = &role.reacts {
            add(name, intent, reactions, reactions);
        }
    }
    for trigger in &format.quiescence {
        match &trigger.action {
            Action::NextRound { role, intent } => {
                let more = (format.rounds - 1).min(trigger.times);
                add(role, intent, more, more);
            }
            Action::Invoke { role, intent } => add(role, intent, 1, trigger.times),
            Action::Close { .. } => {}
        }
    }
    bound
}

fn seats_of(team: &[Member], role: &str) -> usize {
    team.iter().filter(|member| member.role == role).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_may_be_called_again_counts_three_times() {
        let mut forum = Format::forum();
        let team = [Member::new("Ada", "lead"), Member::new("Bob", "participant")];
        let free = check(&forum, &team).unwrap();
        assert_eq!((free.invocations, free.planned), (6, 6));
        forum.intents.get_mut("speak").unwrap().tool_choice = crate::ToolChoice::Once;
        let bound = check(&forum, &team).unwrap();
        assert_eq!((bound.invocations, bound.planned), (10, 10));
        let terms = BudgetTerms { cap: Usd::from_micros(1_000_000), per_turn: None };
        assert_eq!(check_budget(&forum, &team, terms), Ok(Usd::from_micros(100_000)));
    }

    #[test]
    fn a_tool_that_nobody_offers_is_refused_with_those_that_are_known() {
        let text = "name: mine\nroles: {lead: {intent: speak}}\nintents: {speak: {tools: [share, lookup]}}\n";
        let format = Format::from_yaml(text).unwrap();
        let team = [Member::new("Ada", "lead")];
        assert!(check_with(&format, &team, &["lookup"]).is_ok());
        for (host_tools, known) in [(&[][..], "share"), (&["draw"], "share, draw")] {
            assert_eq!(
                check_with(&format, &team, host_tools).unwrap_err().to_string(),
                format!(
                    "format `mine`: intents.speak.tools names tool `lookup`, which is not defined; defined: {known}"
                )
            );
        }
        let error = Format::from_yaml(&text.replace("lookup", "look up")).unwrap_err();
        assert!(error.to_string().starts_with("format `mine`: intents.speak.tools names a tool `look up`"));
    }

    #[test]
    fn a_team_that_does_not_fit_is_refused_with_the_reason() {
        let personas = [Member::new("Mary", "persona"), Member::new("mary", "persona")];
        let error = |team: &[Member]| check(&Format::council(), team).unwrap_err().to_string();
        assert_eq!(error(&personas), "two seats are named `mary`");
        assert_eq!(
            error(&personas[..1]),
            "format `council` wants exactly 1 with role `judge`, the team has 0"
        );
        assert!(
            error(&[Member::new("Mary", "boss")])
                .contains("role `boss`, which is not defined; defined: judge, persona")
        );
    }
}
