//! A session that begins as a copy of another.

use crate::{
    Bus, Copied, CopyOptions, Error, ErrorKind, Label, PRUNED, Read, Result, SessionQuery,
    copy::{Copy, size},
    refusal,
};
use party_core::{Event, Forked, NewRecord, Offset, Record, RecordClass, SessionId, Timestamp};
use serde_json::value::RawValue;

pub(crate) async fn fork<B: Bus + ?Sized>(
    bus: &B,
    session: SessionId,
    at: Offset,
    to: SessionId,
    mut options: CopyOptions,
) -> Result<Copied> {
    let page = bus.sessions(SessionQuery::one(session)).await?;
    let info = page.entries.into_iter().next().ok_or_else(|| refusal::no_session(session))?;
    if info.partial {
        return Err(refusal::partial(session));
    }
    if at == Offset::START || at > info.head || to == session {
        let why = match to == session {
            true => format!("session {session} cannot be a fork of itself"),
            false => format!("a fork of session {session} is at 1 to {}, not at {at}", info.head),
        };
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    if let Some(label) = info.label.filter(|_| options.label.is_none()) {
        options.label = Some(Label { key: to.to_string(), ..label });
    }
    let mut copy = Copy::start(bus, to, options).await?;
    let outcome = copy_up_to(bus, session, at, to, &mut copy).await;
    copy.release().await;
    outcome
}

async fn copy_up_to<B: Bus + ?Sized>(
    bus: &B,
    session: SessionId,
    at: Offset,
    to: SessionId,
    copy: &mut Copy<'_, B>,
) -> Result<Copied> {
    let mut read = Read::new(session, Offset::START).in_epoch(bus.info().epoch);
    let mut last = Timestamp::default();
    while read.after < at {
        let page = bus.read(read.clone()).await?;
        for record in page.entries.iter().take_while(|record| record.offset <= at) {
            last = record.at;
            read.after = record.offset;
            let record = twin(record, to);
            let bytes = size(&record);
            copy.bring(record, bytes).await?;
        }
        if page.entries.is_empty() {
            return Err(refusal::rewound(session, at, read.after));
        }
    }
    let forked = NewRecord::new(last, &Event::from(Forked { from: session, at }));
    let forked = forked.placed(to, at.plus(1), None);
    let bytes = size(&forked);
    copy.bring(forked, bytes).await?;
    copy.finish().await
}

/// The record as the copy has it. Turns are named by offsets, so what trace said leaves an empty record.
fn twin(record: &Record, session: SessionId) -> Record {
    let mut twin = Record { session, ..record.clone() };
    if record.class == RecordClass::Trace {
        twin.kind = PRUNED.into();
        twin.body = RawValue::from_string("{}".into()).expect("invariant: an empty object is JSON");
    }
    twin
}
