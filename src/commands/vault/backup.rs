//! `authsome vault backup`.
//!
//! The file is made here and its descriptor handed to the daemon: so it is the caller's umask, mounts
//! and rights that count, and the daemon needs to know no path. It has its name only when it is whole.

use std::{
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::NamedTempFile;

use super::passphrase;
use crate::{
    cli::BackupArgs,
    commands::{Context, Error, count},
    protocol::{
        ErrorKind, Request, Secret,
        vault::{BackupReport, VaultRequest},
    },
};

pub(super) fn backup(args: &BackupArgs, context: &Context) -> Result<(), Error> {
    let path = std::path::absolute(&args.file)
        .map_err(|error| Error::caused("cannot tell the current directory", &error))?;
    // Before anybody types a passphrase twice.
    if !args.force && path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    if path.is_dir() {
        let message = format!("{} is a directory", path.display());
        return Err(Error::new(ErrorKind::Usage, message).hint("name a file in it"));
    }
    let mut client = context.client()?;
    let directory = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    // Mode 0600, as tempfile makes all its files.
    let file = NamedTempFile::with_prefix_in(".authsome-backup-", &directory)
        .map_err(|error| cannot_write(&path, &error))?;
    let passphrase = passphrase::new(&args.passphrase, "Passphrase for the backup")?;
    let request = VaultRequest::Backup { passphrase: Secret(passphrase) };
    let report: BackupReport =
        client.call_with(Request::Vault(request), &[file.as_file().as_fd()])?;
    if args.force {
        file.persist(&path).map_err(|error| cannot_write(&path, &error.error))?;
    } else {
        file.persist_noclobber(&path).map_err(|error| {
            if error.error.kind() == io::ErrorKind::AlreadyExists {
                exists(&path)
            } else {
                cannot_write(&path, &error.error)
            }
        })?;
    }
    File::open(&directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| cannot_write(&path, &error))?;
    let shown = path.display().to_string();
    let members = json!({
        "file": shown,
        "profiles": report.profiles,
        "records": report.records,
        "files": report.files,
        "left_out": report.left_out,
    });
    context.output.result(members, |text| {
        text.line(format!(
            "Wrote {shown}: {}, {}, {}.",
            count(report.profiles, "profile"),
            count(report.records, "record"),
            count(report.files, "file")
        ));
        text.dim("Without its passphrase nobody can read it, you neither.");
    })?;
    for what in &report.left_out {
        context.output.warning(format!("not in the backup: {what}"));
    }
    Ok(())
}

fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::Exists, format!("{} exists", path.display()))
        .hint("choose another name, or replace it with --force")
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::caused(format_args!("cannot write {}", path.display()), error)
}
