//! The connection for what the store's owner does: one at a time, for as long as it takes.

use super::{
    board::Board,
    failure::Failure,
    link::{Address, Link, Use},
    writer::Tries,
};
use crate::Result;
use std::sync::Arc;
use tokio::{sync::Mutex, time::Instant};

#[derive(Debug)]
pub(super) struct Care {
    address: Arc<Address>,
    board: Arc<Board>,
    /// Taken out while it works, so that what is dropped in the middle is not used again.
    link: Mutex<Option<Link>>,
}

impl Care {
    pub(super) fn new(address: Arc<Address>, board: Arc<Board>) -> Arc<Self> {
        Arc::new(Self { address, board, link: Mutex::default() })
    }

    /// Does `work`, which gives its connection back, again where the server was away meanwhile. `act` says
    /// what it is, such as `prune`.
    pub(super) async fn run<T, F: Future<Output = Result<(Link, T), Failure>> + Send>(
        &self,
        act: &str,
        work: impl Fn(Link) -> F + Send,
    ) -> Result<T> {
        let mut idle = self.link.lock().await;
        let mut tries = Tries::since(&self.address, Instant::now());
        loop {
            self.board.expect_open()?;
            let attempt = async {
                let link = match idle.take().filter(|link| !link.is_closed()) {
                    Some(link) => link,
                    None => self.address.connect(Use::Care, None).await?,
                };
                work(link).await
            };
            match attempt.await {
                Ok((link, answer)) => {
                    *idle = Some(link);
                    return Ok(answer);
                }
                Err(failure) if failure.may_pass() && tries.pause().await => {}
                Err(failure) => return Err(self.address.error(failure, act)),
            }
        }
    }

    pub(super) async fn close(&self) {
        // What still works ends with its caller.
        if let Ok(mut idle) = self.link.try_lock()
            && let Some(link) = idle.take()
        {
            link.close().await;
        }
    }
}
