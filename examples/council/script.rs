//! What the scripted personas say.

use crate::args::Args;
use party_examples::{BadInput, read_text};
use party_launch::harness::scripted::{Script, Step};

const LIMIT: u64 = 1 << 20;

/// The shipped script, or the user's. A persona that it does not know says so.
pub(crate) fn script<'a>(args: &Args, seats: impl Iterator<Item = &'a str>) -> Result<Script, BadInput> {
    let (source, text) = match &args.script {
        Some(file) => (file.display().to_string(), read_text("--script", file, LIMIT)?),
        None => ("the shipped script".to_owned(), include_str!("script.yaml").to_owned()),
    };
    let mut script = Script::from_yaml(&text).map_err(|error| BadInput::new(format!("{source}: {error}")))?;
    for (index, name) in (0..).zip(seats) {
        if !script.knows(name) {
            let text = format!(
                "(Scripted: no model was asked, and the script has no words for {name}.) On “{{question}}” I have no opinion of my own."
            );
            script = script.agent(name, [Step::say(50 + 10 * (index % 15), text)]);
        }
    }
    Ok(script)
}
