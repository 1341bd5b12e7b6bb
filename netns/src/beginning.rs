//! A namespace in the making: first its network, later the rest.
//!
//! The two are apart because a caller has something to do meanwhile: the helper's start and the
//! network take about as long as finding out what is to be mounted.

#![cfg(target_os = "linux")]

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command},
};

use crate::{
    control::Control,
    error::Error,
    helper::{HELPER_ARGUMENT, OURSELVES},
    message::{Go, Mounts, Order, Report, Text},
    sandbox::{Ending, Listener, Prepared, Sandbox, out_of_turn},
    signals::Signals,
    spec::{Network, Spec},
};

/// A namespace that is being made, up to its network. Dropping it ends that.
#[derive(Debug)]
pub struct Beginning {
    /// None once it has been completed.
    started: Option<(Control, Child)>,
}

impl Beginning {
    /// Starts the helper and tells it what network to make; does not wait for it. Until the namespace
    /// is completed, signals do to the caller what they always do.
    ///
    /// # Errors
    /// [`Error::Start`]. What goes wrong in the helper, [`Self::complete`] tells.
    pub fn new(network: &Network) -> Result<Self, Error> {
        let (control, theirs) = Control::pair().map_err(Error::Start)?;
        // The helper inherits the mask: a Ctrl-C must not end it.
        let helper = Signals::blocked_while(|| {
            Command::new(OURSELVES)
                .arg0(env::args_os().next().unwrap_or_default())
                .arg(HELPER_ARGUMENT)
                .env_clear()
                .stdin(theirs)
                .spawn()
        });
        let helper = helper.map_err(Error::Signals)?.map_err(Error::Start)?;
        let parent = std::process::id().cast_signed();
        // If this fails the helper has ended, and its last words say why.
        let _ = control.send(&Order::Begin { parent, network: network.clone() });
        Ok(Self { started: Some((control, helper)) })
    }

    /// Has the rest of the namespace made, without starting the command.
    ///
    /// # Errors
    /// The step that failed, with a hint if a setting of this machine forbids it.
    pub fn complete(self, spec: &Spec) -> Result<(Sandbox, Prepared), Error> {
        if spec.command.is_empty() {
            return Err(Error::NoCommand);
        }
        let text = |path: &Path| Text::from(path.as_os_str());
        let mounts = Mounts {
            trust_dir: Some(text(&spec.trust_dir)),
            trust_dir_id: spec.trust_dir_id,
            files: spec.files.iter().map(|f| (text(&f.path), f.contents.len())).collect(),
            merges: spec.merges.iter().map(Into::into).collect(),
            overlays: spec.overlays.iter().map(Into::into).collect(),
            copies: spec.copies.iter().map(Into::into).collect(),
            keep: spec.keep.iter().map(|path| text(path)).collect(),
            hide: spec.hide.iter().map(|path| text(path)).collect(),
        };
        let contents: Vec<_> = spec.files.iter().map(|file| file.contents.as_slice()).collect();
        let words = |word: &OsString| Text::from(word.as_os_str());
        let go = Go {
            command: spec.command.iter().map(words).collect(),
            env: spec.env.iter().map(|(name, value)| (words(name), words(value))).collect(),
            cwd: text(&spec.cwd),
            user: spec.user.clone(),
        };
        self.complete_with(mounts, &contents.concat(), go, spec.run_id.clone())
    }

    /// Hears what the helper and init have to say.
    pub(crate) fn complete_with(
        mut self,
        mounts: Mounts,
        files: &[u8],
        go: Go,
        run_id: String,
    ) -> Result<(Sandbox, Prepared), Error> {
        let (control, helper) = self.started.take().ok_or(Error::Lost)?;
        let sandbox = Sandbox::new(control, helper, go, run_id, Ending::Killed)?;
        // If this fails the helper has ended, and its last words say why.
        let sent = sandbox.control()?.send_with(&Order::Complete(Box::new(mounts)), files, &[]);
        hear(sandbox, &sent)
    }
}

/// What a helper has to say until all is ready. `sent` says whether it was told what to make.
pub(crate) fn hear(
    mut sandbox: Sandbox,
    sent: &io::Result<()>,
) -> Result<(Sandbox, Prepared), Error> {
    let mut prepared =
        Prepared { listeners: Vec::new(), catch_all: false, ipv6: false, warnings: Vec::new() };
    loop {
        let frame = match (sandbox.receive(), sent) {
            (Err(Error::Lost), Err(error)) => return Err(Error::Control(error.kind().into())),
            (frame, _) => frame?,
        };
        match frame.message {
            Report::Listeners(kinds) => {
                let pairs = kinds.into_iter().zip(frame.descriptors);
                prepared.listeners.extend(pairs.map(|(kind, fd)| Listener { kind, fd }));
            }
            Report::Built { catch_all, ipv6, warnings } => {
                (sandbox.catch_all, sandbox.ipv6) = (catch_all, ipv6);
                (prepared.catch_all, prepared.ipv6) = (catch_all, ipv6);
                prepared.warnings = warnings;
            }
            Report::Ready => return Ok((sandbox, prepared)),
            other @ (Report::Failed { .. }
            | Report::Probed(_)
            | Report::Started
            | Report::NoDirectory { .. }
            | Report::NoExec { .. }
            | Report::Stopped { .. }
            | Report::Exited(_)) => return Err(out_of_turn(&other)),
        }
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some((_, helper)) = &mut self.started {
            let _ = helper.kill();
            let _ = helper.wait();
        }
    }
}
