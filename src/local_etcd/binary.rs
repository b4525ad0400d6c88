//! Where the programs of etcd are.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::{LocalEtcdError, Result};

/// Names another etcd than the one on the `PATH`.
const ETCD: &str = "ETCD";
/// Lists the etcds that tests are to pass on.
const TESTED: &str = "JOBBOARD_TEST_ETCDS";
/// Where `make tools` puts the newer etcd, from the folder of the crate.
const NEWER: &str = "target/tools/etcd-3.5.1/etcd";

/// The etcd that is run when nobody says which.
pub(super) fn default() -> Result<PathBuf> {
    if let Some(path) = env::var_os(ETCD) {
        return check(path);
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths)
        .map(|folder| folder.join("etcd"))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            LocalEtcdError::Missing(format!(
                "there is no etcd on the PATH: install one (Debian: apt install etcd-server), or \
                 name one in the environment variable {ETCD}"
            ))
        })
}

/// The etcds that tests are to pass on.
pub(super) fn tested() -> Result<Vec<PathBuf>> {
    if let Some(list) = env::var_os(TESTED) {
        return env::split_paths(&list).map(check).collect();
    }
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let newer = Path::new(&root).join(NEWER);
    if !newer.is_file() {
        return Err(LocalEtcdError::Missing(format!(
            "tests run on two versions of etcd and {} is not there: run `make tools`, or list \
             the versions to test in the environment variable {TESTED}",
            newer.display()
        )));
    }
    Ok(vec![default()?, newer])
}

/// Passes a path of which a file is, as one that is the same in any folder: etcd is started in one of
/// its own.
pub(super) fn check(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    match std::path::absolute(path) {
        Ok(absolute) if absolute.is_file() => Ok(absolute),
        _ => Err(LocalEtcdError::Missing(format!(
            "there is no etcd at {}: install one (Debian: apt install etcd-server), or name another",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_from_here_is_good_elsewhere_and_one_that_leads_nowhere_is_refused() {
        let path = check("Cargo.toml").unwrap();
        assert!(path.is_absolute() && path.is_file());
        assert!(check("no/such/etcd").is_err());
    }
}
