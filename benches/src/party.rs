//! A scripted council without delays, and its log as the batches that it was written in.

use party_bus::{Batch, Bus, BusExt as _, Classes};
use party_core::{BatchId, NewRecord, Offset, Record, SessionId};
use party_formats::Format;
use party_launch::{
    Party, PartyBuilder, Seat,
    harness::scripted::{Script, Scripted, Step},
};
use rusqlite::{Connection, OpenFlags};
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// The personas of the council; Maat judges them.
pub const PERSONAS: [&str; 4] = ["Mary", "John", "Winston", "James"];

/// A council on scripted agents that answer at once, with about as much text as real ones.
pub fn council(bus: Arc<dyn Bus>, rounds: u32, folder: &Path) -> PartyBuilder {
    let text = "It depends on what it costs. ".repeat(28);
    let says = |_| Step { cost_usd: 0.01, ..Step::say(0, text.clone()) };
    let script = PERSONAS.into_iter().fold(Script::default(), |script, name| {
        script.agent(name, (0..rounds).map(says).collect::<Vec<_>>())
    });
    let script = script.agent("Maat", [says(0)]);
    let format = Format::council().with_rounds(rounds).expect("a council may have that many rounds");
    let builder = Party::builder(bus).harness(Scripted::new(script)).folder(folder).format(format);
    let seated = PERSONAS.into_iter().fold(builder, |builder, name| {
        builder.seat(Seat::new(name, "persona").prompt(format!("You are {name}.")))
    });
    seated.seat(Seat::new("Maat", "judge"))
}

/// How many turns such a council takes.
pub const fn turns(rounds: u32) -> u64 {
    PERSONAS.len() as u64 * rounds as u64 + 1
}

/// The log of a session of the store at `path` as one batch for each synced commit: what was only
/// buffered rides with the next one.
pub async fn step_batches(bus: &dyn Bus, path: &Path, session: SessionId) -> party_bus::Result<Vec<Batch>> {
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await?;
    let ends = batch_ends(path, session).expect("the store is SQLite");
    let (mut batches, mut step, mut head) = (Vec::new(), Vec::new(), Offset::START);
    let mut is_buffered = true;
    for record in &records {
        is_buffered &= matches!(record.kind.as_str(), "runtimeBound" | "traced");
        step.push(unplaced(record));
        if ends.contains(&record.offset) && !is_buffered {
            let id = BatchId::derive(&[session.as_bytes(), &record.offset.0.to_be_bytes()]);
            // The first lease of a session has this token.
            batches.push(Batch::driver(session, id, head, 1, std::mem::take(&mut step)));
            (head, is_buffered) = (record.offset, true);
        }
    }
    Ok(batches)
}

/// The last offset of each batch.
fn batch_ends(path: &Path, session: SessionId) -> rusqlite::Result<BTreeSet<Offset>> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT \"offset\" + count - 1 FROM piece
               WHERE hash IS NOT NULL AND session = (SELECT id FROM session WHERE uid = ?1)";
    let mut select = conn.prepare(sql)?;
    let ends = select.query_map([session.as_bytes()], |row| row.get::<_, i64>(0))?;
    ends.map(|end| end.map(|end| Offset(end.cast_unsigned()))).collect()
}

fn unplaced(record: &Record) -> NewRecord {
    let event = record.event().expect("a record of ours");
    let mut new = NewRecord::new(record.at, &event);
    (new.turn, new.items, new.ops) = (record.turn, record.items.clone(), record.ops.clone());
    new
}
