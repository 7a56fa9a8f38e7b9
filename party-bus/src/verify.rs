//! Whether a store holds what its log says, asked through the trait alone: the same for every backend.

use crate::{
    Bus, ErrorKind, Layer, Page, Read, Report, Result, Scope, SessionQuery, Side, ThreadInfo, ThreadQuery,
    Window, encoded::items_of,
};
use party_core::{Entry, ItemId, Offset, Record, RecordClass, SessionId, ThreadId, Topology};
use std::{collections::BTreeSet, sync::Arc};

/// At most so many entries, threads or items are held at once, the fold of the session's ops aside.
const PAGE: u32 = 500;
/// A session that grows while it is looked at is looked at again, so many times.
const TRIES: u32 = 20;

/// Checks through its own methods that a store holds what it should, as
/// [`BusAdmin::verify`](crate::BusAdmin::verify) promises; backends add what they can check of their
/// files. Writers may go on meanwhile.
///
/// # Errors
/// Those of reading, and [`ErrorKind::Busy`] for a session that never holds still. Cancel-safe: it only
/// reads.
pub async fn verify(bus: &dyn Bus, scope: Scope) -> Result<Report> {
    let mut report = Report::default();
    let sessions = match scope {
        Scope::Session(session) => BTreeSet::from([session]),
        Scope::Store => sessions(bus).await?,
    };
    for session in sessions {
        match verify_session(bus, session, &mut report).await {
            // The others may be whole.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                report.problem(Some(session), error.to_string());
            }
            verified => verified?,
        }
    }
    Ok(report)
}

/// Checks one session, as [`verify`] does: offsets without holes, items that are there, and lists and
/// windows of both layers that equal the fold of the log.
///
/// # Errors
/// As [`verify`].
pub async fn verify_session(bus: &dyn Bus, session: SessionId, report: &mut Report) -> Result<()> {
    let mut log = Log::new(session);
    for _ in 0..TRIES {
        log.read_on(bus).await?;
        if log.head == Offset::START {
            return Ok(());
        }
        let mut found = Report::default();
        found.problems.clone_from(&log.found.problems);
        log.compare(bus, &mut found).await?;
        let (head, records) = (log.head, log.records);
        // What came meanwhile may be all that is wrong.
        if !found.problems.is_empty() {
            log.read_on(bus).await?;
        }
        if log.head == head {
            report.sessions += 1;
            report.records += records;
            found.problems.into_iter().for_each(|problem| report.problem(problem.session, problem.what));
            return Ok(());
        }
    }
    let why = format!("session {session} grows faster than it can be verified");
    Err(crate::Error::new(ErrorKind::Busy, why))
}

async fn sessions(bus: &dyn Bus) -> Result<BTreeSet<SessionId>> {
    let mut sessions = BTreeSet::new();
    let mut query = SessionQuery::newest();
    loop {
        let page = bus.sessions(query.clone()).await?;
        sessions.extend(page.entries.iter().map(|info| info.session));
        if !page.more {
            return Ok(sessions);
        }
        query.skip = page.scanned_to;
    }
}

async fn head(bus: &dyn Bus, session: SessionId) -> Result<Option<Offset>> {
    let page = bus.sessions(SessionQuery::one(session)).await?;
    Ok(page.entries.first().map(|info| info.head))
}

/// What was read of a session, folded.
struct Log {
    session: SessionId,
    head: Offset,
    records: u64,
    topology: Topology,
    found: Report,
}

impl Log {
    fn new(session: SessionId) -> Self {
        let (topology, found) = (Topology::default(), Report::default());
        Self { session, head: Offset::START, records: 0, topology, found }
    }

    fn problem(&mut self, what: String) {
        self.found.problem(Some(self.session), what);
    }

    async fn read_on(&mut self, bus: &dyn Bus) -> Result<()> {
        loop {
            let page = bus.read(Read::new(self.session, self.head)).await?;
            for record in &page.entries {
                self.take_in(record);
            }
            self.look_for_items(bus, &page).await?;
            if !page.more || page.entries.is_empty() {
                return Ok(());
            }
        }
    }

    fn take_in(&mut self, record: &Record) {
        let Record { session, offset, class, author, .. } = record;
        if *session != self.session {
            self.problem(format!("record {offset} says that it is of session {session}"));
        }
        if *offset != self.head.plus(1) {
            self.problem(format!("record {offset} stands behind record {}", self.head));
        }
        if author.is_some() != (*class == RecordClass::Input) {
            self.problem(format!("record {offset} is a {class}, which its author does not fit"));
        }
        if let Err(error) = self.topology.apply(*offset, &record.ops) {
            self.problem(format!("record {offset} does not fit what was before it: {error}"));
        }
        self.head = self.head.max(*offset);
        self.records += 1;
    }

    /// Items that records bring or refer to are there, and are what the records show.
    async fn look_for_items(&mut self, bus: &dyn Bus, page: &Page<Arc<Record>>) -> Result<()> {
        for record in &page.entries {
            let brought = record.items.iter().map(|item| item.id);
            let ids: BTreeSet<ItemId> =
                brought.chain(record.ops.iter().flat_map(items_of).copied()).collect();
            let ids: Vec<ItemId> = ids.into_iter().collect();
            for ids in ids.chunks(PAGE as usize) {
                let found = match bus.items(ids).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        self.problem(format!("record {}: {error}", record.offset));
                        continue;
                    }
                    found => found?,
                };
                let differs = |shown: &&Arc<party_core::Item>| {
                    // Whether an item was erased between the two looks is nobody's fault.
                    found.iter().any(|item| item.id == shown.id && item.erased() != shown.erased())
                };
                if let Some(item) = record.items.iter().find(differs) {
                    self.problem(format!(
                        "record {} shows another item {} than is kept",
                        record.offset, item.id
                    ));
                }
            }
        }
        Ok(())
    }

    async fn compare(&self, bus: &dyn Bus, report: &mut Report) -> Result<()> {
        if head(bus, self.session).await? != Some(self.head) {
            let why = format!("the list of sessions gives another head than the log, {}", self.head);
            report.problem(Some(self.session), why);
        }
        self.compare_threads(bus, report).await?;
        for (thread, _) in self.topology.outline().threads() {
            for layer in [Layer::Shown, Layer::Archive] {
                self.compare_windows(bus, thread, layer, report).await?;
            }
        }
        Ok(())
    }

    async fn compare_threads(&self, bus: &dyn Bus, report: &mut Report) -> Result<()> {
        let mut threads: Vec<_> = self.topology.outline().threads().collect();
        threads.sort_by_key(|(_, outlined)| outlined.made);
        let mut folded = threads.into_iter().map(|(thread, outlined)| ThreadInfo {
            thread,
            kind: outlined.kind.clone(),
            state: outlined.state,
            origin: outlined.origin,
            head: outlined.head,
        });
        let mut query = ThreadQuery::all(self.session);
        loop {
            let page = bus.threads(query.clone()).await?;
            for found in page.entries {
                if folded.next().as_ref() != Some(&found) {
                    let why = format!("thread {} is listed otherwise than the log has it", found.thread);
                    report.problem(Some(self.session), why);
                }
            }
            if !page.more {
                break;
            }
            query.skip = page.scanned_to;
        }
        for missing in folded {
            report.problem(Some(self.session), format!("thread {} is not listed", missing.thread));
        }
        Ok(())
    }

    async fn compare_windows(
        &self,
        bus: &dyn Bus,
        thread: ThreadId,
        layer: Layer,
        report: &mut Report,
    ) -> Result<()> {
        let mut after = 0;
        loop {
            let mut window = Window::after(self.session, thread, after, PAGE);
            window.layer = layer;
            let found = match bus.window(window).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    report.problem(Some(self.session), format!("a window fails: {error}"));
                    return Ok(());
                }
                found => found?,
            };
            if let Some(why) = differs(&self.topology, &window, &found) {
                report.problem(Some(self.session), why);
                return Ok(());
            }
            if !found.more {
                return Ok(());
            }
            after = found.scanned_to;
        }
    }
}

/// How a window differs from the fold of the ops; `None` where it does not.
pub(crate) fn differs(topology: &Topology, window: &Window, found: &Page<Entry>) -> Option<String> {
    let Window { thread, side, limit, layer, .. } = *window;
    let named = format!("thread {thread}, {layer:?}, {}", named_side(side));
    let Some((view, walked)) = topology.view(thread, layer, side, limit) else {
        return Some(format!("{named}: the log never opened it"));
    };
    let folded = view.into_iter().map(|(n, at)| (n, at.place.offset, at.place.index, at.item, at.how));
    let stored = found.entries.iter().map(|e| (e.position, e.offset, e.index, e.item.id, e.how.clone()));
    let (folded, stored): (Vec<_>, Vec<_>) = (folded.collect(), stored.collect());
    if folded != stored {
        let at = folded.iter().zip(&stored).take_while(|(folded, stored)| folded == stored).count();
        let (folded, stored) = (folded.get(at), stored.get(at));
        return Some(format!("{named}: shows {stored:?} where the log has {folded:?}"));
    }
    let ends = (found.scanned_to, found.more);
    let expected = (walked.scanned_to, walked.more);
    (ends != expected).then(|| format!("{named}: ends with {ends:?} where the log has {expected:?}"))
}

fn named_side(side: Side) -> String {
    match side {
        Side::Last => "the last entries".to_owned(),
        Side::Before(position) => format!("before {position}"),
        Side::After(position) => format!("after {position}"),
    }
}
