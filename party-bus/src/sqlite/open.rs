//! Opening a file: what it must be, and what is made of a new one.

use super::{
    connect::{connect, patiently},
    failure::{Failure, kind},
};
use crate::{BusInfo, Capabilities, Error, ErrorKind, Result, process};
use rusqlite::{Connection, MAIN_DB, OpenFlags, config::DbConfig};
use rustix::fs::{Access, access};
use std::{
    cmp::Ordering,
    fmt::Write as _,
    fs::{self, Permissions},
    io::{Error as IoError, ErrorKind as IoErrorKind, Read as _},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt as _, OpenOptionsExt, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// `Prty`: tells our files from other SQLite files.
const APPLICATION_ID: i32 = 0x5072_7479;
/// The schema that this version reads and writes.
const SCHEMA: i32 = 2;
/// Older ones may corrupt a write-ahead log that two connections reset at once.
const OLDEST_SQLITE: i32 = 3_051_003;
/// SQLite takes a shorter file for an empty database.
const SMALLEST_PAGE: u64 = 512;

/// What to do where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

/// Opens the store at `path`, a full path, and makes it ready.
pub(super) fn open(path: &Path, missing: Missing) -> Result<(Connection, BusInfo)> {
    // Closing a file drops every lock that the process has on it, those of another connection of
    // SQLite's included. So nobody may connect while a new file is made and closed again.
    static OPENING: Mutex<()> = Mutex::new(());
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if rusqlite::version_number() < OLDEST_SQLITE {
        let version = rusqlite::version();
        return Err(Error::new(ErrorKind::Invalid, format!("SQLite {version} is older than 3.51.3")));
    }
    inspect(path, missing)?;
    prepare(path).map_err(|failure| failure.into_error("open", path))
}

/// Checks what the file is, without changing it; makes an empty one where there is none.
fn inspect(path: &Path, missing: Missing) -> Result<()> {
    let trouble = |act: &str, error: IoError| {
        Err(Error::new(ErrorKind::Io, format!("cannot {act} {}", path.display())).with_source(error))
    };
    match fs::metadata(path) {
        Ok(file) if file.is_dir() => Err(not_a_store(path, "is a folder, not a store")),
        Ok(file) if !file.is_file() => Err(not_a_store(path, "is not a regular file")),
        Ok(file) if file.len() == 0 && missing == Missing::Refuse => {
            Err(not_a_store(path, "is empty, not a store"))
        }
        Ok(file) if file.len() == 0 && file.mode() & 0o077 != 0 => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
                .or_else(|error| trouble("change the mode of", error))
        }
        Ok(file) if file.len() == 0 => Ok(()),
        Ok(file) => {
            access(path, Access::READ_OK).or_else(|error| trouble("read", error.into()))?;
            match identify(path) {
                Ok((APPLICATION_ID, schema)) if file.len() >= SMALLEST_PAGE => check_schema(path, schema),
                Ok(_) if file.len() >= SMALLEST_PAGE => {
                    Err(not_a_store(path, "is a database of another application"))
                }
                Err(error) if kind(&error) != ErrorKind::NotAStore => {
                    Err(Failure::Sql(error).into_error("read", path))
                }
                _ if missing == Missing::Create && was_never_written(path) => Ok(()),
                _ => Err(not_a_store(path, "is not a Party store")),
            }
        }
        Err(error) if error.kind() == IoErrorKind::NotFound => match missing {
            Missing::Create => create(path),
            Missing::Refuse => {
                Err(Error::new(ErrorKind::NotFound, format!("there is no store at {}", path.display())))
            }
        },
        Err(error) => trouble("look at", error),
    }
}

fn not_a_store(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::NotAStore, format!("{} {what}", path.display()))
}

fn check_schema(path: &Path, schema: i32) -> Result<()> {
    let path = path.display();
    if schema < 1 {
        return Err(Error::new(ErrorKind::Corrupt, format!("{path} is damaged: it names no schema")));
    }
    let (kind, age) = match schema.cmp(&SCHEMA) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => (ErrorKind::OlderVersion, "an older"),
        Ordering::Greater => (ErrorKind::NewerVersion, "a newer"),
    };
    let why =
        format!("{path} was written by {age} version of Party (schema {schema}, this one has {SCHEMA})");
    Err(Error::new(kind, why))
}

/// The application and the schema that the file's first page names.
///
/// After a crash the first page is all of the file that can be relied on: the rest may still be in
/// the log, or about to be rolled back, and SQLite settles that only once it opens the file for
/// writing, which a file of somebody else must be spared. So this connection is immutable: no lock,
/// no log, no recovery; and `WRITABLE_SCHEMA` has it accept a file that is shorter than its first
/// page says. Reading the bytes without SQLite would do as well, were it not that closing the file
/// would drop the locks of every other connection that this process has to it.
fn identify(path: &Path) -> rusqlite::Result<(i32, i32)> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        let _ = write!(uri, "%{byte:02x}");
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri, flags)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    header(&conn)
}

/// Whether the file is no database yet only because its first transaction was cut short: it begins
/// as a database or with zeros, and its journal says that before there was nothing. Nobody else in
/// this process has such a file open, so closing it drops no locks.
fn was_never_written(path: &Path) -> bool {
    let start = |path: &Path, len| {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(len).read_to_end(&mut bytes));
        read.map(|_| bytes).unwrap_or_default()
    };
    let file = start(path, 16);
    // The magic number of a journal, two counters, and of how many pages the file was.
    let journal = start(&beside(path, "-journal"), 20);
    journal.starts_with(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
        && journal.get(16..20) == Some(&[0; 4])
        && (b"SQLite format 3\0".starts_with(&file) || file.iter().all(|byte| *byte == 0))
}

/// A file that is kept beside `path`, or beside what that links to, under a longer name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(suffix);
    name.into()
}

fn header(conn: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |name| conn.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// Makes an empty file that only its owner may read; SQLite gives its other files the same mode.
fn create(path: &Path) -> Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(()),
        // Some file systems say so too of a folder where nothing can be made.
        Err(error) if error.kind() == IoErrorKind::NotFound && !path.parent().is_some_and(Path::is_dir) => {
            let folder = path.parent().unwrap_or(path).display();
            Err(Error::new(ErrorKind::NotFound, format!("folder {folder} does not exist")))
        }
        Err(error) => {
            Err(Error::new(ErrorKind::Io, format!("cannot create {}", path.display())).with_source(error))
        }
    }
}

/// Connects for writing, and reads the store's row.
fn prepare(path: &Path) -> Result<(Connection, BusInfo), Failure> {
    let conn = connect(path)?;
    if conn.is_readonly(MAIN_DB)? {
        return Err(Error::new(ErrorKind::Io, format!("{} is not writable", path.display())).into());
    }
    // What the log holds may be of a newer version, whose file closing must not change. Where there
    // is no log, closing has to remove the empty one that opening makes.
    let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    if header(&conn)?.0 == 0 {
        initialise(&conn)?;
    }
    let (application, schema) = header(&conn)?;
    if application != APPLICATION_ID {
        return Err(not_a_store(path, "is a database of another application").into());
    }
    check_schema(path, schema)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let mode: String =
        patiently(|| conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)))?;
    if mode != "wal" {
        let why = format!("cannot keep a write-ahead log for {}: is it on a network?", path.display());
        return Err(Error::new(ErrorKind::Io, why).into());
    }
    let (store, epoch) = raise_epoch(&conn)?;
    let capabilities = Capabilities {
        durable: true,
        cross_process: true,
        backup: true,
        prune: true,
        erase: true,
        search: true,
    };
    Ok((conn, BusInfo { backend: "sqlite", store, epoch, capabilities }))
}

/// Makes the tables, unless another process was faster. All of it, the header included, is in the
/// file itself before there is a write-ahead log, so that [`identify`] can rely on it.
fn initialise(conn: &Connection) -> Result<(), Failure> {
    conn.pragma_update(None, "page_size", 8192)?;
    let tx = rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
    if header(&tx)?.0 == 0 {
        tx.execute_batch(include_str!("schema.sql"))?;
        tx.execute_batch(include_str!("views.sql"))?;
        tx.execute("INSERT INTO store VALUES (1, lower(hex(randomblob(16))), 1, '', 1, 0, 0)", [])?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
    }
    Ok(tx.commit()?)
}

/// The store's name and epoch; a new epoch where another boot left it with records that were
/// visible but perhaps not on the disk.
fn raise_epoch(conn: &Connection) -> Result<(String, u64), Failure> {
    conn.pragma_update(None, "synchronous", "full")?;
    let raised = conn.execute(
        "UPDATE store SET epoch = epoch + 1, clean = 1 WHERE clean = 0 AND boot <> ?1",
        [process::boot()],
    )?;
    let (store, epoch) =
        conn.query_row("SELECT uid, epoch FROM store", [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    if raised > 0 {
        tracing::warn!(store, epoch, "the store was not closed before the machine stopped: epoch raised");
    }
    Ok((store, epoch.cast_unsigned()))
}
