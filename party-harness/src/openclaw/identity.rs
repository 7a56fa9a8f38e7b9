//! Who this host is to a gateway: a key that signs what a connection asks for.

use crate::{Error, ErrorKind, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::{self, Write as _},
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// A key's length in its file.
const LENGTH: usize = 32;

/// A device, as a gateway calls it. Its key is shown to nobody.
#[derive(Clone)]
pub(super) struct Identity {
    key: SigningKey,
    /// The lower-case SHA-256 of the public key.
    pub(super) id: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is signed, beside the key's own name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) client: &'a str,
    pub(super) mode: &'a str,
    pub(super) role: &'a str,
    pub(super) scopes: &'a [&'a str],
    pub(super) signed_at: u64,
    pub(super) token: &'a str,
    pub(super) nonce: &'a str,
    pub(super) platform: &'a str,
}

impl Identity {
    /// One that nobody knows, and that is gone with this value.
    pub(super) fn fresh() -> Result<Self> {
        let mut seed = [0; LENGTH];
        getrandom::fill(&mut seed).map_err(|error| {
            Error::new(ErrorKind::Io, "the system gives no random numbers").with_source(error)
        })?;
        Ok(Self::of(seed))
    }

    /// The one in a file, which is made where it is missing, for its owner only.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where others may read the file, or it holds no key; [`ErrorKind::Io`].
    pub(super) fn load(path: &Path) -> Result<Self> {
        match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self::fresh()?;
                match write(path, made.key.as_bytes()) {
                    Ok(()) => Ok(made),
                    // Another process of the host was quicker.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
                    Err(error) => Err(unusable(path, &error.to_string()).with_source(error)),
                }
            }
            Err(error) => Err(unusable(path, &error.to_string()).with_source(error)),
            Ok((mode, _)) if mode & 0o077 != 0 => {
                Err(unusable(path, "others may read it; run `chmod 600` on it, or delete it for a new one"))
            }
            Ok((_, bytes)) => match <[u8; LENGTH]>::try_from(bytes) {
                Ok(seed) => Ok(Self::of(seed)),
                Err(_) => Err(unusable(path, "it holds no key; delete it for a new one")),
            },
        }
    }

    fn of(seed: [u8; LENGTH]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let id =
            Sha256::digest(key.verifying_key().as_bytes()).iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
        Self { key, id }
    }

    pub(super) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// The signature of a claim, third version: fields in their order, and no device family.
    pub(super) fn sign(&self, claim: &Claim<'_>) -> String {
        let Claim { client, mode, role, scopes, signed_at, token, nonce, platform } = claim;
        let (id, scopes) = (&self.id, scopes.join(","));
        let text = format!("v3|{id}|{client}|{mode}|{role}|{scopes}|{signed_at}|{token}|{nonce}|{platform}|");
        URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }
}

fn read(path: &Path) -> io::Result<(u32, Vec<u8>)> {
    let file = fs::File::open(path)?;
    let mode = file.metadata()?.mode();
    let mut bytes = Vec::new();
    file.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    Ok((mode, bytes))
}

/// Written beside and moved, so that nobody ever reads half a key; an older file stays.
fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = folder.join(format!(".key-{}-{:p}", std::process::id(), key));
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written =
        file.write_all(key).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&beside, path));
    let _ = fs::remove_file(&beside);
    written
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the key file {} cannot be used: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signature, Verifier as _};
    use std::os::unix::fs::PermissionsExt as _;

    fn claim<'a>() -> Claim<'a> {
        Claim {
            client: "gateway-client",
            mode: "backend",
            role: "operator",
            scopes: &["operator.read", "operator.write"],
            signed_at: 1_795_174_173_524,
            token: "tok",
            nonce: "n",
            platform: "linux",
        }
    }

    #[test]
    fn a174_the_signature_is_of_the_text_that_the_gateway_verifies() {
        let identity = Identity::of([7; LENGTH]);
        let text = format!(
            "v3|{}|gateway-client|backend|operator|operator.read,operator.write|1795174173524|tok|n|linux|",
            identity.id
        );
        let signature = URL_SAFE_NO_PAD.decode(identity.sign(&claim())).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        identity.key.verifying_key().verify(text.as_bytes(), &signature).unwrap();
        let public = URL_SAFE_NO_PAD.decode(identity.public_key()).unwrap();
        assert_eq!(public, identity.key.verifying_key().as_bytes());
        assert_eq!(identity.id.len(), 64);
    }

    #[test]
    fn a174_a_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/operator.key");
        let first = Identity::load(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(Identity::load(&path).unwrap().id, first.id);
        assert_ne!(Identity::fresh().unwrap().id, first.id);
    }

    #[test]
    fn a174_a_key_that_others_can_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        Identity::load(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Identity::load(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bytes in [vec![], vec![1; 31], vec![1; 33]] {
            fs::write(&path, bytes).unwrap();
            assert!(Identity::load(&path).unwrap_err().to_string().contains("holds no key"));
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let identity = Identity::of([7; LENGTH]);
        assert_eq!(format!("{identity:?}"), format!("Identity {{ id: {:?}, .. }}", identity.id));
    }
}
