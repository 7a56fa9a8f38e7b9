//! One client: its requests one after the other, and the sessions that it follows beside them.

use super::{
    FrontOptions, PeerCredential,
    answer::{Answer, Desk, read},
    line::{BadLine, Lines},
    reply::{Outgoing, Trouble},
    request::{Request, RequestId, classes, parse},
};
use crate::{Bus, Follow, Read};
use party_core::{Offset, Record};
use std::{collections::BTreeMap, io, mem, sync::Arc};
use tokio::net::{UnixStream, unix::OwnedReadHalf};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// So much is read at once.
const CHUNK: usize = 8 << 10;

/// What the connections of a front have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) options: FrontOptions,
    pub(super) closing: CancellationToken,
}

/// Serves a client until it goes away, or the front is closed.
pub(super) async fn serve(stream: UnixStream, shared: Arc<Shared>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let peer = PeerCredential { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
    let (reader, writer) = stream.into_split();
    let out = Arc::new(Outgoing::new(writer));
    let Some(author) = (shared.options.admit)(peer) else {
        let why = Trouble::refused(format!("user {} is not admitted here", peer.uid));
        return out.fail(None, &why).await;
    };
    let desk = Desk { bus: Arc::clone(&shared.bus), author };
    Connection { reader, out, desk, follows: BTreeMap::new(), shared }.serve().await
}

struct Connection {
    reader: OwnedReadHalf,
    out: Arc<Outgoing>,
    desk: Desk,
    /// By the request that began each; those that ended by themselves included, until looked at.
    follows: BTreeMap<RequestId, Following>,
    shared: Arc<Shared>,
}

/// A session that is followed. Dropped, it is so no more.
struct Following {
    /// Cancelled once it is over, or is to be.
    over: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Following {
    /// Ends it after a whole line; the client has been told why.
    async fn end(self) {
        self.over.cancel();
        let _ = self.task.await;
    }
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        let mut lines = Lines::new(self.shared.options.longest_line);
        let closing = self.shared.closing.clone();
        while !closing.is_cancelled() {
            if let Some(line) = lines.next() {
                self.take(line).await?;
                continue;
            }
            let is_open = tokio::select! {
                biased;
                () = closing.cancelled() => break,
                is_open = fill(&self.reader, &mut lines) => is_open?,
            };
            if !is_open {
                return match lines.end() {
                    Some(bad) => self.out.fail(None, &Trouble::invalid(bad.why())).await,
                    None => Ok(()),
                };
            }
        }
        for (_, following) in mem::take(&mut self.follows) {
            following.end().await;
        }
        self.out.end().await
    }

    async fn take(&mut self, line: Result<String, BadLine>) -> io::Result<()> {
        let asked = match line {
            Ok(line) => parse(&line),
            Err(bad) => Err((None, Trouble::invalid(bad.why()))),
        };
        match asked {
            Ok((id, request)) => self.carry_out(id, request).await,
            Err((id, trouble)) => self.out.fail(id.as_ref(), &trouble).await,
        }
    }

    async fn carry_out(&mut self, id: RequestId, request: Request) -> io::Result<()> {
        match request {
            Request::Follow { session, after, classes: named, epoch } => {
                if let Err(why) = self.may_follow(&id).await {
                    return self.out.answer(&id, Err(why)).await;
                }
                if let Err(error) = self.desk.exists(session).await {
                    return self.out.answer(&id, Err(error.into())).await;
                }
                let epoch_now = self.desk.bus.info().epoch;
                self.out.answer(&id, Ok(Answer::Following { epoch: epoch_now })).await?;
                let read = read(session, after, epoch).classes(classes(named));
                self.follow(id, read);
                Ok(())
            }
            Request::Unfollow { follow } => {
                let given = match self.follows.remove(&follow).filter(|found| !found.over.is_cancelled()) {
                    Some(following) => {
                        following.end().await;
                        Ok(Answer::Done {})
                    }
                    None => Err(Trouble::invalid("nothing is followed under that id")),
                };
                self.out.answer(&id, given).await
            }
            request => {
                let given = self.desk.carry_out(request).await.map_err(Trouble::from);
                self.out.answer(&id, given).await
            }
        }
    }

    /// Whether something more may be followed, under this id.
    async fn may_follow(&mut self, id: &RequestId) -> Result<(), Trouble> {
        self.follows.retain(|_, following| !following.task.is_finished());
        match self.follows.remove(id) {
            Some(following) if following.over.is_cancelled() => following.end().await,
            Some(following) => {
                self.follows.insert(id.clone(), following);
                return Err(Trouble::invalid("that id follows already"));
            }
            None => {}
        }
        let most = self.shared.options.follows;
        let is_full = self.follows.len() >= most;
        if is_full { Err(Trouble::limit(format!("{most} sessions are followed already"))) } else { Ok(()) }
    }

    fn follow(&mut self, id: RequestId, read: Read) {
        let over = self.shared.closing.child_token();
        let passing = Passing {
            bus: Arc::clone(&self.desk.bus),
            read,
            id: id.clone(),
            out: Arc::clone(&self.out),
            over: over.clone(),
            closing: self.shared.closing.clone(),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(async {
            // Where the client is gone, its requests end, too.
            let _ = passing.run().await;
        }));
        self.follows.insert(id, Following { over, task });
    }
}

/// Reads what is there, or waits for it; `false` at the end.
async fn fill(reader: &OwnedReadHalf, lines: &mut Lines) -> io::Result<bool> {
    loop {
        reader.readable().await?;
        // Made once there is something to read: a client that is silent holds no space.
        let mut chunk = [0; CHUNK];
        match reader.try_read(&mut chunk) {
            Ok(read) => {
                lines.push(&chunk[..read]);
                return Ok(read > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes the records of a session on to a client that follows it.
struct Passing {
    bus: Arc<dyn Bus>,
    /// What is behind the last record that the client has.
    read: Read,
    id: RequestId,
    out: Arc<Outgoing>,
    over: CancellationToken,
    closing: CancellationToken,
}

impl Passing {
    /// Tells each record, and at the end why no more come.
    async fn run(mut self) -> io::Result<()> {
        let mut records = Follow::new(Arc::clone(&self.bus), self.read.clone());
        let why = loop {
            let next = tokio::select! {
                biased;
                () = self.over.cancelled() => break self.asked_to_end().await?,
                next = records.next() => next,
            };
            match next {
                Ok(record) => self.tell(record).await?,
                Err(error) => break error.into(),
            }
        };
        self.over.cancel();
        self.out.ended(&self.id, &why).await
    }

    async fn tell(&mut self, record: &Record) -> io::Result<()> {
        self.out.record(&self.id, record).await?;
        self.read.after = record.offset;
        Ok(())
    }

    /// A host that closes the front at the end of a session has seen the last record; so shall the client.
    async fn asked_to_end(&mut self) -> io::Result<Trouble> {
        if !self.closing.is_cancelled() {
            return Ok(Trouble::unfollowed());
        }
        loop {
            let page = match self.bus.read(self.read.clone()).await {
                Ok(page) => page,
                Err(error) => return Ok(error.into()),
            };
            for record in &page.entries {
                self.tell(record).await?;
            }
            if !page.more {
                return Ok(Trouble::closing());
            }
            self.read.after = Offset(page.scanned_to);
        }
    }
}
