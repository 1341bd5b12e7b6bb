//! The audit log of a home, with the key that the default profile's vault keeps for it.
//!
//! The vault stays open for as long as the log: a store is opened once in a process, so the default
//! profile's broker takes it from here. Without the vault there is a log all the same, since what
//! happens must be on record; its head is not signed then, which is shown as a problem.

use std::sync::Arc;

use super::{audit_error, audit_key::AuditKey, patiently};
use crate::{
    audit::{self, AuditLog, Event, Signer as _, Signing},
    paths::Home,
    protocol::{ErrorKind, ErrorReply, audit::AuditView, chain},
    vault::SledVault,
};

/// The log, and what it takes to sign it.
#[derive(Debug)]
pub(super) struct Record {
    log: AuditLog,
    settings: audit::Settings,
    /// Or why nobody signs.
    seal: Result<Seal, ErrorReply>,
}

/// A key, and the vault that keeps it.
#[derive(Debug)]
struct Seal {
    key: Arc<AuditKey>,
    vault: Arc<SledVault>,
}

impl Record {
    /// Opens the log of a home; `vault` is that of the default profile, or why it could not be opened.
    ///
    /// # Errors
    /// The log's, as the commands show them.
    pub(super) fn open(
        home: &Home,
        settings: audit::Settings,
        vault: Result<SledVault, ErrorReply>,
    ) -> Result<Self, ErrorReply> {
        let opened = vault.and_then(|vault| {
            let (key, signing) = AuditKey::open(&vault)?;
            Ok((Seal { key, vault: Arc::new(vault) }, signing))
        });
        let (seal, signing) = match opened {
            Ok((seal, signing)) => (Ok(seal), Some(signing)),
            Err(error) => {
                tracing::error!(error = error.message, "nobody signs the audit log");
                (Err(error), None)
            }
        };
        let options = || audit::Options { settings, signing: signing.clone() };
        let log = patiently(
            || AuditLog::open(&home.audit_log(), options()),
            |error| matches!(error, audit::Error::Held { .. }),
        )
        .map_err(|error| audit_error(&error))?;
        let record = Self { log, settings, seal };
        record.remember(signing);
        Ok(record)
    }

    /// The default profile's vault, if it could be opened when the log was.
    pub(super) fn vault(&self) -> Option<&Arc<SledVault>> {
        self.seal.as_ref().ok().map(|seal| &seal.vault)
    }

    pub(super) fn append(&self, event: Event) -> audit::Result<()> {
        self.log.append(event)
    }

    pub(super) fn flush(&self) -> audit::Result<()> {
        self.log.flush()
    }

    pub(super) fn healthy(&self) -> audit::Result<()> {
        self.log.healthy()
    }

    /// Writes what is still to be written, and remembers how far the log went.
    pub(super) fn close(&self) {
        if let Err(error) = self.log.flush() {
            tracing::error!(error = chain(&error), "the audit log is not complete");
        }
        self.remember(None);
    }

    /// How the log is, and the key that verifies it.
    pub(super) fn view(&self) -> AuditView {
        let condition = self.log.condition();
        let signed = condition.signed;
        AuditView {
            public_key: match &self.seal {
                Ok(seal) => hex::encode(seal.key.public_key()),
                Err(_) => String::new(),
            },
            seq: signed.as_ref().map_or(0, |head| head.seq),
            hash: signed.map(|head| head.hash).unwrap_or_default(),
            writable: condition.failure.is_none(),
            error: condition
                .failure
                .map(|error| chain(&error))
                .or_else(|| self.seal.as_ref().err().map(|error| unsigned(&error.message)))
                .or(condition.unsigned),
            lost: condition.lost,
            when_unwritable: self.settings.when_unwritable.as_str().to_owned(),
            alarm: condition.alarm,
        }
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<ErrorReply> {
        let condition = self.log.condition();
        let failed = |message: String, hint: &str| ErrorReply {
            kind: ErrorKind::Failed,
            message,
            hint: Some(hint.to_owned()),
        };
        let mut problems: Vec<_> = condition.failure.iter().map(audit_error).collect();
        if let Err(error) = &self.seal {
            problems.push(ErrorReply { message: unsigned(&error.message), ..error.clone() });
        }
        problems.extend(condition.unsigned.map(|why| failed(unsigned(&why), "authsome doctor")));
        if condition.lost > 0 {
            let message = format!("{} events could not be put on record", condition.lost);
            problems.push(failed(message, "make room on the disk"));
        }
        problems.extend(condition.alarm.map(|alarm| {
            failed(format!("the audit log was tampered with: {alarm}"), "authsome log verify")
        }));
        problems
    }

    /// Has the vault remember the newest head that was signed: that of the log, or else the one of
    /// `signing`. Without this an older log and head could be put back unseen.
    fn remember(&self, signing: Option<Signing>) {
        let Ok(Seal { key, vault }) = &self.seal else { return };
        let remembered = signing.and_then(|signing| signing.remembered);
        let head = self.log.condition().signed.or(remembered);
        if let Err(error) = key.remember(&**vault, head) {
            tracing::error!(error = error.message, "the head of the audit log is not remembered");
        }
    }
}

fn unsigned(why: &str) -> String {
    format!("the head of the audit log is not signed: {why}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::broker::{Broker, DEFAULT_PROFILE, testing::Stage};

    #[test]
    fn the_log_is_signed_with_the_same_key_by_the_next_daemon() {
        let stage = Stage::new();
        let key = stage.common.audit().public_key;
        let stage = stage.again(|_| {});
        let view = stage.common.audit();
        assert_eq!((view.public_key, view.alarm, view.error), (key, None, None));
        assert!(stage.common.problems().is_empty());
    }

    #[test]
    fn a_log_put_back_while_nobody_served_is_found() {
        let stage = Stage::new();
        stage.common.note("before", None).unwrap();
        let mut kept = Vec::new();
        let stage = stage.again(|home| {
            for path in [home.audit_log(), home.audit_log().with_extension("head")] {
                kept.push((fs::read(&path).unwrap(), path));
            }
        });
        stage.common.note("after", None).unwrap();
        let stage = stage.again(|_| {
            kept.iter().for_each(|(bytes, path)| crate::paths::write_private(path, bytes).unwrap());
        });
        let alarm = stage.common.audit().alarm.unwrap();
        assert!(alarm.contains("older"), "{alarm}");
    }

    #[test]
    fn without_the_vault_there_is_a_log_that_nobody_signs() {
        let stage = Stage::new().again(|home| fs::remove_file(home.master_key()).unwrap());
        stage.common.note("something", None).unwrap();
        let problems = stage.common.problems();
        assert!(problems[0].message.contains("not signed: "), "{problems:?}");
        assert_eq!(stage.common.audit().public_key, "");
        let error = Broker::open(&stage.common, DEFAULT_PROFILE).unwrap_err();
        assert!(problems[0].message.ends_with(&error.message), "{error:?}");
    }

    #[test]
    fn a_log_that_nobody_signed_for_a_while_is_no_tampering() {
        let mut key = Vec::new();
        let stage = Stage::new().again(|home| {
            key = fs::read(home.master_key()).unwrap();
            fs::remove_file(home.master_key()).unwrap();
        });
        stage.common.note("something", None).unwrap();
        let stage =
            stage.again(|home| crate::paths::write_private(&home.master_key(), &key).unwrap());
        let view = stage.common.audit();
        assert_eq!((view.alarm, view.error), (None, None));
    }
}
