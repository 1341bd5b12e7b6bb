//! The worker's sockets for outgoing connections: made and marked by the guard, one at a time.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    sync::mpsc::{Sender, channel},
    thread,
};

use netns::shared::{Wanted, WorkerEnd};
use tokio::sync::oneshot;

use crate::{gate::BoxFuture, interceptor::SocketSource};

/// Asks the guard for sockets, in a thread of its own: whoever needs one does not block.
pub struct Marked {
    jobs: Sender<Job>,
}

enum Job {
    Socket(Wanted, oneshot::Sender<io::Result<OwnedFd>>),
    Serving,
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marked").finish_non_exhaustive()
    }
}

impl Marked {
    /// Begins to speak to the guard.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(end: WorkerEnd) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        thread::Builder::new().name("sockets".to_owned()).spawn(move || {
            for job in inbox {
                match job {
                    // Who has given up meanwhile needs no socket.
                    Job::Socket(wanted, reply) => drop(reply.send(end.socket(wanted))),
                    Job::Serving => {
                        if let Err(error) = end.serving() {
                            tracing::error!(%error, "the guard is gone");
                        }
                    }
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Tells the guard that the worker serves.
    pub fn serving(&self) {
        // The thread ends only with the process.
        drop(self.jobs.send(Job::Serving));
    }

    async fn socket(&self, wanted: Wanted) -> io::Result<OwnedFd> {
        let gone = || io::Error::other("the guard is gone");
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Socket(wanted, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl SocketSource for Marked {
    fn tcp(&self, ipv6: bool) -> BoxFuture<'_, io::Result<OwnedFd>> {
        Box::pin(self.socket(if ipv6 { Wanted::TcpV6 } else { Wanted::TcpV4 }))
    }

    fn udp(&self, ipv6: bool) -> BoxFuture<'_, io::Result<OwnedFd>> {
        Box::pin(self.socket(if ipv6 { Wanted::UdpV6 } else { Wanted::UdpV4 }))
    }
}
