//! A wire between the host and its gateway, which can be cut.

use std::sync::{Arc, Mutex};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
};

/// Passes connections on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) url: String,
    running: Arc<Mutex<Vec<AbortHandle>>>,
    serving: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn to(url: &str) -> Self {
        let target = url.strip_prefix("ws://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let running = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let of_all = Arc::clone(&running);
        let serving = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Ok(mut far) = TcpStream::connect(&target).await else { continue };
                let passing = tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
                of_all.lock().unwrap().push(passing.abort_handle());
            }
        });
        Self { url, running, serving }
    }

    /// Cuts every connection; new ones are passed on.
    pub(crate) fn cut(&self) {
        self.running.lock().unwrap().drain(..).for_each(|passing| passing.abort());
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.serving.abort();
    }
}
