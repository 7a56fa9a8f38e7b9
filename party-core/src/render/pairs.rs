//! Calls of tools and their answers, kept together; and thinking that leads to nothing.

use super::{MessageRole, shown::Part};
use crate::ContentBlock;
use std::collections::BTreeMap;

/// Puts the answers of a message's calls right behind it, in the order of the calls, wherever they stood.
/// A call without an answer and an answer without a call are left out: a provider refuses them, and a
/// text in their place would be imitated. An answer belongs to the last open call of its id before it.
pub(super) fn kept_together(parts: Vec<Part>) -> Vec<Part> {
    let answers = answers(&parts);
    let mut parts: Vec<Option<Part>> = parts.into_iter().map(Some).collect();
    let mut kept = Vec::with_capacity(parts.len());
    let mut waiting: Vec<usize> = Vec::new();
    let mut message = 0;
    for at in 0..parts.len() {
        // Gone already where it is an answer that was put behind its call.
        let Some(part) = &parts[at] else { continue };
        let is_answer = matches!(part.block, ContentBlock::ToolResult { .. });
        if part.item != message || is_answer {
            message = part.item;
            put(&mut kept, &mut waiting, &mut parts);
        }
        let Some(part) = parts[at].take().filter(|_| !is_answer) else { continue };
        if matches!(part.block, ContentBlock::ToolUse { .. }) {
            let Some(answer) = answers.get(&at) else { continue };
            waiting.push(*answer);
        }
        kept.push(part);
    }
    put(&mut kept, &mut waiting, &mut parts);
    kept
}

fn put(kept: &mut Vec<Part>, waiting: &mut Vec<usize>, parts: &mut [Option<Part>]) {
    let Some(message) = kept.last().map(|part| part.item) else { return };
    for answer in waiting.drain(..) {
        kept.extend(parts[answer].take().map(|part| Part { item: message, ..part }));
    }
}

/// The place of the answer, by the place of the call.
fn answers(parts: &[Part]) -> BTreeMap<usize, usize> {
    let (mut open, mut answers) = (BTreeMap::new(), BTreeMap::new());
    for (at, part) in parts.iter().enumerate() {
        match &part.block {
            ContentBlock::ToolUse { id, .. } => {
                open.insert(id, at);
            }
            ContentBlock::ToolResult { tool_use_id, .. } => {
                answers.extend(open.remove(tool_use_id).map(|call| (call, at)));
            }
            _ => {}
        }
    }
    answers
}

/// Leaves out thinking behind which its side says nothing more: a provider refuses a message that ends
/// with it.
pub(super) fn without_idle_thinking(parts: Vec<Part>) -> Vec<Part> {
    let mut leads_on = false;
    let mut kept: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts.into_iter().rev() {
        if matches!(part.block, ContentBlock::Thinking { .. }) {
            if leads_on {
                kept.push(part);
            }
        } else {
            leads_on = part.role == MessageRole::Assistant;
            kept.push(part);
        }
    }
    kept.reverse();
    kept
}
