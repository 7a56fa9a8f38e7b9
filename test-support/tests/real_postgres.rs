//! A cluster of PostgreSQL of one's own, and its end.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, ErrorKind},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use test_support::postgres::{Cluster, binaries};

/// Tells a test that it is the child process, and how it is to end.
const END: &str = "PARTY_TEST_POSTGRES_END";

fn psql(url: &str, statement: &str) -> Command {
    let mut command = Command::new(binaries().unwrap().join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", statement, url]);
    command
}

fn run(url: &str, statement: &str) -> String {
    let output = psql(url, statement).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sql(cluster: &Cluster, statement: &str) -> String {
    run(&cluster.url(), statement)
}

/// The processes at work in a folder; a dead one, even if nobody has reaped it, is in none.
fn processes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let inside = |path: &PathBuf| fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    entries.filter(inside).collect()
}

/// The shared memory by which PostgreSQL knows that a server has the data folder.
fn memory(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    text.lines().nth(6).unwrap().split_whitespace().last().unwrap().to_owned()
}

fn has_memory(id: &str) -> bool {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    text.lines().any(|line| line.split_whitespace().nth(1) == Some(id))
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_closed(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

/// Starts a statement that does not end by itself, and waits until the server is at it.
fn endless(cluster: &Cluster) -> Child {
    let child = psql(&cluster.url(), "select pg_sleep(3600)").stderr(Stdio::null()).spawn().unwrap();
    let at_it = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    wait_until("the statement runs", || sql(cluster, at_it) == "1");
    child
}

#[test]
fn a_cluster_serves_by_tcp_and_by_socket_and_syncs_what_it_commits() {
    let cluster = Cluster::start().unwrap();
    assert_eq!(cluster.url(), format!("postgres://party@127.0.0.1:{}/postgres", cluster.port()));
    let version: u32 = sql(&cluster, "show server_version_num").parse().unwrap();
    assert!(version >= 150_000, "{version}");
    let settings = "select current_setting('fsync'), current_setting('synchronous_commit'),
        current_setting('max_connections'), current_setting('server_encoding')";
    assert_eq!(sql(&cluster, settings), "on|on|200|UTF8");
    let folder = cluster.socket_folder().to_str().unwrap();
    let by_socket = format!("host={folder} port={} user=party dbname=postgres", cluster.port());
    assert_eq!(run(&by_socket, "select inet_server_addr() is null"), "t");
}

#[test]
fn what_was_committed_survives_a_kill_that_leaves_no_process() {
    let mut cluster = Cluster::start().unwrap();
    let (url, folder) = (cluster.url(), cluster.socket_folder().to_owned());
    sql(&cluster, "create table t (n int); insert into t values (42)");
    let mut statement = endless(&cluster);
    assert!(processes(&folder).len() > 3);
    cluster.kill().unwrap();
    assert_eq!(processes(&folder), Vec::<PathBuf>::new());
    assert!(is_closed(cluster.port()));
    assert!(!statement.wait().unwrap().success());
    cluster.kill().unwrap();
    cluster.start_again().unwrap();
    assert_eq!(cluster.url(), url);
    assert_eq!(sql(&cluster, "select n from t"), "42");
}

#[test]
fn a_server_that_was_stopped_starts_again() {
    let mut cluster = Cluster::start().unwrap();
    sql(&cluster, "create table t (n int); insert into t values (42)");
    let mut statement = endless(&cluster);
    cluster.stop_fast().unwrap();
    assert!(!statement.wait().unwrap().success());
    assert_eq!(processes(cluster.socket_folder()), Vec::<PathBuf>::new());
    cluster.stop_fast().unwrap();
    cluster.start_again().unwrap();
    assert_eq!(sql(&cluster, "select n from t"), "42");
}

#[test]
fn a_port_that_somebody_else_has_taken_is_told_and_tried_again() {
    let mut cluster = Cluster::start().unwrap();
    cluster.stop_fast().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", cluster.port())).unwrap();
    let error = cluster.start_again().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    drop(taken);
    cluster.start_again().unwrap();
    assert_eq!(sql(&cluster, "select 1"), "1");
}

#[test]
fn a_cluster_that_is_dropped_leaves_nothing() {
    for is_killed in [false, true] {
        let mut cluster = Cluster::start().unwrap();
        let (folder, port) = (cluster.socket_folder().to_owned(), cluster.port());
        let memory = memory(&folder);
        assert!(has_memory(&memory));
        if is_killed {
            cluster.kill().unwrap();
        }
        drop(cluster);
        assert_eq!(processes(&folder), Vec::<PathBuf>::new());
        assert!(!folder.exists() && is_closed(port) && !has_memory(&memory), "killed: {is_killed}");
    }
}

/// The process that shares a cluster, and ends or is killed.
#[test]
fn child_process_that_shares_a_cluster() {
    let Ok(end) = std::env::var(END) else { return };
    let cluster = Cluster::shared();
    assert_eq!(Cluster::shared().url(), cluster.url());
    assert_eq!(sql(cluster, "select 1"), "1");
    println!("\nserves {} {}", cluster.port(), cluster.socket_folder().display());
    if end == "killed" {
        loop {
            thread::park();
        }
    }
}

#[test]
fn a_shared_cluster_ends_with_its_process_however_that_ends() {
    for end in ["itself", "killed"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child_process_that_shares_a_cluster", "--nocapture"]).env(END, end);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        // Kept open: what the child prints at its end has to go somewhere.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("serves ")).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let (port, folder) = (words[1].parse().unwrap(), Path::new(words[2]));
        if end == "killed" {
            assert!(processes(folder).len() > 3);
            child.kill().unwrap();
        }
        assert_eq!(child.wait().unwrap().success(), end == "itself");
        wait_until("the folder is gone", || !folder.exists());
        assert_eq!(processes(folder), Vec::<PathBuf>::new());
        assert!(is_closed(port));
    }
}

#[test]
fn an_owner_that_is_killed_while_it_makes_a_cluster_leaves_nothing() {
    let temporary = tempfile::Builder::new().prefix("party-test-").tempdir().unwrap();
    // The server's user has to get through.
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).unwrap();
    let inside = || fs::read_dir(temporary.path()).unwrap().count();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process_that_shares_a_cluster"]).env(END, "killed");
    let mut child = command.env("TMPDIR", temporary.path()).stdout(Stdio::null()).spawn().unwrap();
    wait_until("initdb is at work", || !processes(temporary.path()).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the folder is gone", || inside() == 0);
    assert_eq!(processes(temporary.path()), Vec::<PathBuf>::new());
}
