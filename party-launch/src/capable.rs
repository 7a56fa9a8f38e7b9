//! Whether the runtimes can hold what the intents ask for. What they cannot is refused before the
//! start, rather than found out in the middle.

use crate::{Error, ErrorKind, Result};
use party_core::SeatSpec;
use party_formats::{Format, Intent};
use party_harness::{Capabilities, CostSource, Harness, Permissions, ToolDoor, ToolScope};
use std::{collections::BTreeMap, sync::Arc};

/// A seat as the check sees it.
pub(crate) struct Seated<'s> {
    pub(crate) name: &'s str,
    pub(crate) role: &'s str,
    pub(crate) harness: &'s str,
}

/// Looks at every intent that a seat can be called under.
pub(crate) fn check_capabilities<'s>(
    format: &Format,
    seats: impl Iterator<Item = Seated<'s>>,
    harnesses: &BTreeMap<String, Arc<dyn Harness>>,
) -> Result<()> {
    for Seated { name, role, harness } in seats {
        let Some(can) = harnesses.get(harness).map(|harness| harness.info().capabilities) else { continue };
        let intents = || format.intents_of(role).into_iter().filter_map(|name| format.intents.get(name));
        let differ = |intent: &Intent| intents().any(|other| !other.offered().eq(intent.offered()));
        if can.tool_scope == ToolScope::Session && intents().any(differ) {
            let context = format!(
                "seat `{name}` has intents with different `tools`, which harness `{harness}` cannot change within a session"
            );
            return Err(Error::new(ErrorKind::Unsupported, context));
        }
        for intent in format.intents_of(role) {
            if let Some(why) = format.intents.get(intent).and_then(|intent| what_is_missing(intent, can)) {
                let context =
                    format!("seat `{name}` cannot run under intent `{intent}` on harness `{harness}`: {why}");
                return Err(Error::new(ErrorKind::Unsupported, context));
            }
        }
    }
    Ok(())
}

/// Refuses a seat of which nobody can know what it costs: its harness has no price for its model, or
/// knows no costs at all where there is a budget to hold them against.
pub(crate) fn check_prices(
    seats: &[SeatSpec],
    has_budget: bool,
    harnesses: &BTreeMap<String, Arc<dyn Harness>>,
) -> Result<()> {
    for SeatSpec { name, harness, model, .. } in seats {
        let Some(info) = harnesses.get(harness).map(|harness| harness.info()) else { continue };
        let (why, way_out) = match (&info.pricing, info.capabilities.cost) {
            (Some(pricing), CostSource::Estimated) if !pricing.knows(model.as_deref()) => {
                match model.as_deref().or(pricing.model.as_deref()) {
                    Some(model) => (
                        format!("model `{model}` on harness `{harness}` has no price"),
                        "give it one among the harness's prices",
                    ),
                    None => {
                        (format!("it names no model, and harness `{harness}` has no default"), "name one")
                    }
                }
            }
            (_, CostSource::Unknown) if has_budget => {
                let why = format!("harness `{harness}` does not know its costs, and there is a budget");
                (why, "run it on another")
            }
            _ => continue,
        };
        let context = format!(
            "nobody knows what seat `{name}` costs: {why}; {way_out}, or allow it by `allow_unknown_prices`"
        );
        return Err(Error::new(ErrorKind::Price, context));
    }
    Ok(())
}

fn what_is_missing(intent: &Intent, can: Capabilities) -> Option<&'static str> {
    if intent.offered().next().is_some() && can.tools == ToolDoor::None {
        return Some("it takes no tools of the host, and `tools` lists some");
    }
    if !intent.offered_own().is_empty() && !can.own_tools {
        return Some("it has no tools of its own, and `ownTools` lists some");
    }
    if intent.ask && can.permissions == Permissions::Never {
        return Some("it never asks before it uses a tool, and `ask` is set");
    }
    if intent.counts_steps() && !can.steps {
        return Some("it does not count steps, and `completion` or `mostSteps` is set");
    }
    None
}
