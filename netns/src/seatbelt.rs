//! Profiles for sandbox-exec(1), which macOS confines a process tree by.
//!
//! The language is not documented for others than Apple, and the command is deprecated; yet it is what
//! sandboxes on macOS are made of. The last rule that matches wins. A profile covers what is at a path when
//! it is used, so paths are given without links. What a profile confines cannot confine itself once more:
//! an agent that sandboxes its own tools has to be told not to.

use std::path::{Path, PathBuf};

/// The program that applies a profile and then executes a command.
pub const PROGRAM: &str = "/usr/bin/sandbox-exec";

/// What a command may not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Directories and files that it can neither read nor change, nor connect to if they are sockets.
    pub hide: Vec<PathBuf>,
    /// Of those, directories that it may read all the same.
    pub show: Vec<PathBuf>,
    /// Files that it cannot change.
    pub keep: Vec<PathBuf>,
    /// The only port of the loopback that it may connect to; all else is out of reach. None: the network
    /// is not the profile's business.
    pub only_port: Option<u16>,
}

/// A path that a profile can't say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be written in a sandbox profile", .0.display())]
pub struct Unspeakable(pub PathBuf);

impl Profile {
    /// The profile's text.
    ///
    /// # Errors
    /// A path that is not UTF-8, or has a control character: leaving it out would uncover it.
    pub fn render(&self) -> Result<String, Unspeakable> {
        let mut text = String::from("(version 1)\n(allow default)\n");
        if let Some(port) = self.only_port {
            // `remote ip`: rules about the local end say nothing about where a connection goes. The name
            // server and the one that judges certificates are asked over sockets and ports of the system's.
            text.push_str(&format!(
                "(deny network-outbound)\n\
                 (allow network-outbound (remote ip \"localhost:{port}\"))\n\
                 (allow network-outbound (remote unix-socket))\n"
            ));
        }
        for path in &self.hide {
            let quoted = quote(path)?;
            text.push_str(&format!(
                "(deny file-read* file-write* (subpath {quoted}))\n\
                 (deny network-outbound (remote unix-socket (subpath {quoted})))\n"
            ));
            // Nor may what it lies in be moved, and it with that.
            for above in path.ancestors().skip(1).filter(|above| above.parent().is_some()) {
                text.push_str(&format!("(deny file-write-unlink (literal {}))\n", quote(above)?));
            }
        }
        for path in &self.keep {
            text.push_str(&format!("(deny file-write* (literal {}))\n", quote(path)?));
        }
        for path in &self.show {
            text.push_str(&format!("(allow file-read* (subpath {}))\n", quote(path)?));
        }
        Ok(text)
    }
}

/// A string of the language, which is Scheme's.
fn quote(path: &Path) -> Result<String, Unspeakable> {
    let unspeakable = || Unspeakable(path.to_owned());
    let text = path.to_str().ok_or_else(unspeakable)?;
    if text.chars().any(char::is_control) {
        return Err(unspeakable());
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use super::*;

    fn profile() -> Profile {
        Profile {
            hide: vec!["/Users/a/.local/share/authsome".into()],
            show: vec!["/Users/a/.local/share/authsome/runs/1".into()],
            keep: vec!["/usr/local/bin/authsome".into()],
            only_port: Some(49_152),
        }
    }

    #[test]
    fn the_profile_is_the_golden_one() {
        assert_eq!(profile().render().unwrap(), include_str!("pf/golden/profile.sb"));
    }

    #[test]
    fn the_network_is_open_unless_it_is_the_profiles_business() {
        let text = Profile { only_port: None, ..profile() }.render().unwrap();
        assert!(!text.contains("(deny network-outbound)\n") && !text.contains("localhost"));
    }

    #[test]
    fn what_is_shown_is_said_after_what_is_hidden() {
        let text = profile().render().unwrap();
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("(allow file-read* (subpath") > at("(deny file-read* file-write* (subpath"));
    }

    #[test]
    fn no_path_ends_its_string() {
        let hide = vec![PathBuf::from(r#"/a") (allow default) ("\"#)];
        let text = Profile { hide, ..Profile::default() }.render().unwrap();
        assert!(text.contains(r#"(subpath "/a\") (allow default) (\"\\")"#), "{text}");
    }

    #[test]
    fn a_path_that_cannot_be_said_is_an_error() {
        for path in [OsString::from_vec(vec![b'/', 0xff]), OsString::from("/a\nb")] {
            let profile = Profile { hide: vec![path.into()], ..Profile::default() };
            assert!(profile.render().is_err());
        }
    }
}
