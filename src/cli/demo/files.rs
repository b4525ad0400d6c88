//! Which files the demo hashes.

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use walkdir::{DirEntry, WalkDir};

use crate::cli::Failure;

/// Fewer files than this in one folder, and another is looked for.
const ENOUGH: usize = 1_000;

/// Real files below one folder.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) folder: PathBuf,
    pub(super) paths: Vec<String>,
}

impl Files {
    /// The first `limit` files below `folder`; without one, below the Rust toolchain's or the
    /// sources of crates, whichever has enough.
    pub(super) fn find(folder: Option<PathBuf>, limit: usize) -> Result<Self, Failure> {
        let candidates = match folder {
            Some(folder) => vec![folder],
            None => [toolchain(), crates()].into_iter().flatten().collect(),
        };
        let mut best: Option<Self> = None;
        for folder in candidates {
            let doing = format!("look for files below {}", folder.display());
            let folder = folder.canonicalize().map_err(Failure::system(&doing))?;
            let paths = below(&folder, limit);
            if best.as_ref().is_none_or(|it| it.paths.len() < paths.len()) {
                best = Some(Self { folder, paths });
            }
            if best.as_ref().is_some_and(|it| it.paths.len() >= ENOUGH) {
                break;
            }
        }
        best.ok_or_else(|| Failure::new("found no folder with files: name one with --dir"))
    }
}

/// The files that can be read and whose path is one line of UTF-8, in the order of their names.
fn below(folder: &Path, limit: usize) -> Vec<String> {
    WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(DirEntry::into_path)
        .filter_map(|path| path.into_os_string().into_string().ok())
        .filter(|path| !path.contains(char::is_control) && File::open(path).is_ok())
        .take(limit)
        .collect()
}

fn toolchain() -> Option<PathBuf> {
    let answer = Command::new("rustc").args(["--print", "sysroot"]).output();
    let path = String::from_utf8(answer.ok()?.stdout).ok()?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_dir())
}

fn crates() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)?;
    Some(cargo.join("registry/src")).filter(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_come_in_order_and_those_that_are_no_line_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "two\nlines", "c"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let files = Files::find(Some(folder.path().to_owned()), 2).unwrap();
        let names: Vec<&str> = files
            .paths
            .iter()
            .filter_map(|it| it.rsplit('/').next())
            .collect();
        assert_eq!(names, ["a", "b"]);
        let all = Files::find(Some(folder.path().to_owned()), 9).unwrap();
        assert_eq!(all.paths.len(), 3);
    }
}
