//! The daemon's listener for browsers.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

use crate::dashboard::CALLBACK_PATHS;

/// A listener, or why there is none: the daemon serves runs without one too.
#[derive(Debug)]
pub(super) struct Browser {
    pub(super) listener: Option<TcpListener>,
    pub(super) port: u16,
    pub(super) problem: Option<String>,
}

impl Browser {
    /// None, because the loopback addresses are an agent's too.
    pub(super) fn none() -> Self {
        let problem = "it was not asked for: authsome sidecar --dashboard".to_owned();
        Self { listener: None, port: 0, problem: Some(problem) }
    }

    pub(super) fn bind(port: u16) -> Self {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
            let port = listener.local_addr()?.port();
            listener.set_nonblocking(true)?;
            Ok((listener, port))
        }) {
            Ok((listener, port)) => Self { listener: Some(listener), port, problem: None },
            Err(error) => {
                let problem = if error.kind() == io::ErrorKind::AddrInUse {
                    format!("port {port} of 127.0.0.1 is another program's")
                } else {
                    format!("port {port} of 127.0.0.1 cannot be had: {error}")
                };
                tracing::warn!(problem, "no dashboard");
                Self { listener: None, port, problem: Some(problem) }
            }
        }
    }

    pub(super) fn redirect_uri(&self) -> String {
        let [path, ..] = CALLBACK_PATHS;
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}
