//! A connection of the host's to a port that the agent listens on.
//!
//! It comes from the user's side and carries nothing of authsome's: no name is looked up, nothing is
//! injected, nothing is decided per connection. Both directions close as their source does. Where the
//! agent's server does not answer, whoever connected sees a reset, as from a port that lost its server.

use std::{future::poll_fn, io, rc::Rc, task::Poll, time::Duration};

use socket2::SockRef;
use tokio::{io::copy_bidirectional_with_sizes, net::TcpStream};

use super::{Run, tunnel::BUFFER, workers::Context};

/// Passes everything through until both ends have closed, the run ends, or the daemon goes.
pub(super) async fn connection(context: Rc<Context>, run: &Run, mut stream: TcpStream, port: u16) {
    let mut watch = context.drain.watch();
    let leaving = poll_fn(|cx| if watch.raised(cx) { Poll::Ready(()) } else { Poll::Pending });
    tokio::select! {
        passed = pass(run, &mut stream, port) => match passed {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, port, "a published connection broke"),
        },
        () = leaving => {}
    }
    // A plain close would say that all had been sent.
    if let Err(error) = SockRef::from(&stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a published connection ends as if it were complete");
    }
}

async fn pass(run: &Run, stream: &mut TcpStream, port: u16) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut server = run.inside.connect(port, stream.local_addr()?.ip()).await?;
    copy_bidirectional_with_sizes(stream, &mut server, BUFFER, BUFFER).await?;
    Ok(())
}
