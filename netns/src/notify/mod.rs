//! The way without a namespace: every call of the command that could lead out is answered for it.
//!
//! A seccomp filter ([`filter`]) sends `connect`, `bind`, `listen`, and sends that name a destination to a
//! supervisor (`SECCOMP_RET_USER_NOTIF`, seccomp_unotify(2)), which carries them out itself, on a duplicate
//! of the command's own socket (pidfd_getfd(2)). What it looked at is what it uses: nothing that the command
//! changes meanwhile, in its memory or its descriptor table, is looked at again, and no call that could
//! reach the network is ever let go on (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`). The socket that is connected is
//! the command's own, so what it set on it, and the epoll sets it is in, stay.
//!
//! ```text
//! caller      Mediating: begin -> complete; then a Sandbox as any other
//! supervisor  `__notify`: answers; single-threaded until it has given up every right
//!   gate      a thread under filter and Landlock: proves, starts the command, then only waits
//!   mediator  a thread that answers notifications
//! ```
//!
//! A TCP connection is made to a listener of the supervisor's own on the loopback, and its other end
//! handed on with the destination. Files are covered by Landlock ([`cover`]), which also keeps the command from
//! tracing, and with Linux 6.12 from signalling, processes that are not its own.
//!
//! Where pidfd_getfd(2) is refused, as containers do, the sockets are the supervisor's from the start ([`made`]).
//!
//! What this must not know: what becomes of a connection. How it fails: closed. A supervisor that is gone
//! answers nobody: the kernel then fails these calls with `ENOSYS`.

mod address;
mod answer;
mod begin;
mod bound;
mod bpf;
mod connect;
mod cover;
mod descendants;
mod filter;
mod gate;
mod listening;
mod made;
mod mediator;
mod names;
mod packet;
mod places;
mod probe;
mod receive;
mod send;
mod stand;
mod supervisor;
mod sys;
mod target;
mod unix;

pub use self::{
    begin::{Mediating, Mediation},
    supervisor::{NOTIFY_ARGUMENT, notify_main},
};
