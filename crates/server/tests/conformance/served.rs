//! The application on a socket of this machine, with a runner of the test's own.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use portolan_server::{AppState, Runner, Settings};
use portolan_store::{Mode, Store};
use tokio::runtime::Runtime;

/// A server and its history, both gone when dropped.
pub(crate) struct Served {
    /// What it knows.
    pub(crate) state: AppState,
    address: SocketAddr,
    _runtime: Runtime,
    _data: tempfile::TempDir,
}

impl Served {
    /// Starts one over a new history.
    pub(crate) fn start(
        runner: Arc<dyn Runner>,
        settings: impl FnOnce(SocketAddr) -> Settings,
    ) -> Self {
        let data = tempfile::tempdir().expect("a directory for the history");
        let store = Store::open(data.path(), Mode::Serve).expect("a new history opens");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can do that");
        let address = listener.local_addr().expect("it is bound");
        let state =
            AppState::new(store, runner, settings(address)).expect("a new history can be read");
        let runtime = Runtime::new().expect("threads can be made");
        let app = portolan_server::app(state.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        });
        Self {
            state,
            address,
            _runtime: runtime,
            _data: data,
        }
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
