//! The daemon's listener for browsers.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

/// Where providers lead browsers back to, on our port.
const CALLBACK: &str = "/auth/callback/oauth";

/// A listener, or why there is none: the daemon serves runs without one too.
#[derive(Debug)]
pub(super) struct Browser {
    pub(super) listener: Option<TcpListener>,
    pub(super) port: u16,
    pub(super) problem: Option<String>,
}

impl Browser {
    pub(super) fn bind(port: u16) -> Self {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
            let port = listener.local_addr()?.port();
            listener.set_nonblocking(true)?;
            Ok((listener, port))
        }) {
            Ok((listener, port)) => Self { listener: Some(listener), port, problem: None },
            Err(error) => {
                let problem = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        format!("port {port} of 127.0.0.1 is another program's")
                    }
                    _ => format!("port {port} of 127.0.0.1 cannot be had: {error}"),
                };
                tracing::warn!(problem, "no dashboard");
                Self { listener: None, port, problem: Some(problem) }
            }
        }
    }

    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{CALLBACK}", self.port)
    }
}
