//! Where the programs of PostgreSQL are.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const VARIABLE: &str = "PARTY_TEST_POSTGRES_BIN";
const VERSIONS: &str = "/usr/lib/postgresql";

/// The oldest version that the stores support.
const OLDEST: u32 = 15;

/// The folder of PostgreSQL's programs, server and clients: `PARTY_TEST_POSTGRES_BIN`, which
/// `cargo xtask test` sets, or the newest that Debian's packages have installed, from 15 on.
///
/// # Errors
/// If there is none; it says how to get it.
pub fn binaries() -> io::Result<PathBuf> {
    let found = match env::var_os(VARIABLE).map(PathBuf::from) {
        Some(folder) if has_server(&folder) => return Ok(folder),
        Some(folder) => format!("{VARIABLE}: no PostgreSQL server in {}", folder.display()),
        None => match newest(Path::new(VERSIONS)) {
            Some(folder) => return Ok(folder),
            None => format!("no PostgreSQL {OLDEST} or newer in {VERSIONS}"),
        },
    };
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{found}; run `cargo xtask fetch`")))
}

fn newest(versions: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(versions).ok()?.flatten();
    let found = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let folders = found.map(|version| (version, versions.join(format!("{version}/bin"))));
    let fitting = folders.filter(|(version, folder)| *version >= OLDEST && has_server(folder));
    fitting.max().map(|(_, folder)| folder)
}

/// A client alone has such a folder too.
fn has_server(folder: &Path) -> bool {
    folder.join("postgres").is_file() && folder.join("initdb").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_server_from_15_on_is_found_and_a_client_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let install = |version: &str, programs: &[&str]| {
            let bin = folder.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            programs.iter().for_each(|program| fs::write(bin.join(program), "").unwrap());
            bin
        };
        install("14", &["postgres", "initdb"]);
        install("17", &["psql"]);
        install("common", &["postgres", "initdb"]);
        assert_eq!(newest(folder.path()), None);
        install("9", &["postgres", "initdb"]);
        install("15", &["postgres", "initdb"]);
        let expected = install("16", &["postgres", "initdb"]);
        assert_eq!(newest(folder.path()), Some(expected));
    }
}
