//! Keys from a file in the format of `~/.aws/credentials`, for hosts where a secret is placed by a provisioning tool.
//!
//! Read once at start. The file must belong to the daemon's user or root and be closed to others, because it holds
//! secrets. The format: `[profile]` headings, `key = value` lines, `#` and `;` comments (AWS SDK reference guide,
//! "shared config and credentials files").

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ufs::s3::Credentials;

const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a credentials file cannot be used. No variant holds file content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("{file:?}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Others could read it.
    #[error("{file:?} can be read by others (mode {mode:04o}); chmod 600 it")]
    Open {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It lacks the profile or one of its keys.
    #[error("{file:?} has no {key} under [{profile}]")]
    Missing {
        /// The file.
        file: PathBuf,
        /// The profile looked for.
        profile: String,
        /// The key looked for.
        key: &'static str,
    },
}

/// The keys of one profile.
pub(super) fn read(file: &Path, profile: &str) -> Result<Credentials, CredentialsError> {
    let text = read_private(file)?;
    let find = |key: &'static str| lookup(&text, profile, key);
    let need = |key: &'static str| {
        let missing =
            || CredentialsError::Missing { file: file.to_owned(), profile: profile.to_owned(), key };
        find(key).ok_or_else(missing)
    };
    Ok(Credentials::Static {
        access_key: need("aws_access_key_id")?,
        secret_key: need("aws_secret_access_key")?,
        session_token: find("aws_session_token"),
    })
}

fn read_private(file: &Path) -> Result<String, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { file: file.to_owned(), source };
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(CredentialsError::Open { file: file.to_owned(), mode });
    }
    let mut text = String::new();
    opened.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn lookup(text: &str, profile: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = heading.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && name.trim() == key
        {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TEXT: &str = "# a comment\n[default]\naws_access_key_id=AK\naws_secret_access_key = hush\n\n[tmp]\n\
                        aws_access_key_id = AK2\naws_secret_access_key=hush2\naws_session_token=token\n";

    fn file(mode: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temp file");
        file.write_all(TEXT.as_bytes()).expect("write");
        let permissions = std::fs::Permissions::from_mode(mode);
        file.as_file().set_permissions(permissions).expect("chmod");
        file
    }

    #[test]
    fn keys_of_each_profile_are_found() {
        let file = file(0o600);
        let keys = |access: &str, secret: &str, token: Option<&str>| Credentials::Static {
            access_key: access.into(),
            secret_key: secret.into(),
            session_token: token.map(str::to_owned),
        };
        assert_eq!(read(file.path(), "default").expect("default"), keys("AK", "hush", None));
        assert_eq!(read(file.path(), "tmp").expect("tmp"), keys("AK2", "hush2", Some("token")));
    }

    #[test]
    fn a_missing_profile_and_an_open_file_are_named_without_secrets() {
        let error = read(file(0o600).path(), "prod").expect_err("no such profile").to_string();
        assert!(error.contains("aws_access_key_id under [prod]") && !error.contains("hush"), "{error}");
        let error = read(file(0o644).path(), "default").expect_err("open to others").to_string();
        assert!(error.contains("0644") && error.contains("chmod 600"), "{error}");
    }
}
