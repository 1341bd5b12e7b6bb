//! Finding the process that holds a socket, among those of one network namespace.
//!
//! First those that were found before: most agents connect again and again. Then all, the newest
//! first: a tool that was started for one request has one of the highest numbers. Only processes whose
//! `ns/net` is the run's are looked into, so nested sandboxes belong to it, whatever other namespaces
//! they have, and no process outside ever does.

use std::{mem::MaybeUninit, os::fd::OwnedFd};

use rustix::io::Errno;

use super::{
    Process,
    holder::{self, Budget, Holder},
};

/// Links that are read for one batch of connections at most, a few tenths of a second's worth: an agent
/// with a million descriptors costs the others no more.
const BUDGET: u32 = 200_000;
/// Processes that are remembered for each run.
const RECENT: usize = 4;
/// Generations that are climbed.
const ANCESTORS: usize = 64;
/// Room for a directory's entries, of which `/proc` has hundreds.
const SPACE: usize = 32 << 10;

/// One socket that is looked for, and who holds it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) inode: u64,
    pub(super) process: Option<Process>,
}

/// Which of a process's tables of descriptors are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// The one that all its threads share, save those that asked for one of their own.
    Shared,
    /// Each thread's: one may not share, and the first may have ended.
    EachThreads,
}

/// What the searches of one run go by.
#[derive(Debug)]
pub(super) struct Place {
    /// The namespace as a link in `/proc` calls it.
    network: String,
    /// Found most recently, that first.
    recent: Vec<Holder>,
}

impl Place {
    pub(super) fn new(network: u64) -> Self {
        Self { network: format!("net:[{network}]"), recent: Vec::new() }
    }

    fn remember(&mut self, holder: Holder) {
        self.recent.insert(0, holder);
        self.recent.truncate(RECENT);
    }
}

/// A table's link to a socket.
struct Link {
    /// Which of those wanted.
    index: usize,
    /// Below the process's directory.
    path: String,
}

/// Searches; there to be reused, since it has buffers.
pub(super) struct Searcher {
    root: OwnedFd,
    space: Vec<MaybeUninit<u8>>,
}

impl Searcher {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self { root: holder::root()?, space: vec![MaybeUninit::uninit(); SPACE] })
    }

    /// Names as many as can be.
    pub(super) fn find(&mut self, place: &mut Place, wanted: &mut [Wanted], tables: Tables) {
        let mut budget = Budget(BUDGET);
        self.look_at_recent(place, wanted, tables, &mut budget);
        if wanted.iter().any(|wanted| wanted.process.is_none())
            && let Err(error) = self.look_at_all(place, wanted, tables, &mut budget)
        {
            tracing::debug!(%error, "not all processes were looked at");
        }
    }

    /// A process that connected before was there before: it has this socket from nobody else.
    fn look_at_recent(
        &mut self,
        place: &mut Place,
        wanted: &mut [Wanted],
        tables: Tables,
        budget: &mut Budget,
    ) {
        let mut known = std::mem::take(&mut place.recent);
        known.retain(|holder| {
            let links = self.links(holder, wanted, tables, budget);
            for link in links.iter().flatten() {
                name(holder, link, wanted);
            }
            // Else it has ended, or cannot be looked into any more.
            links.is_ok()
        });
        place.recent = known;
    }

    fn look_at_all(
        &mut self,
        place: &mut Place,
        wanted: &mut [Wanted],
        tables: Tables,
        budget: &mut Budget,
    ) -> Result<(), Errno> {
        rustix::fs::seek(&self.root, rustix::fs::SeekFrom::Start(0))?;
        let pids = holder::numbers(&self.root, &mut self.space)?;
        for pid in pids.into_iter().rev() {
            if place.recent.iter().any(|known| known.pid() == pid)
                || !self.belongs(pid, &place.network, tables, budget)
            {
                continue;
            }
            // Ended meanwhile, or not to be looked into.
            let Ok(holder) = Holder::open(&self.root, pid) else { continue };
            let links = match self.links(&holder, wanted, tables, budget) {
                Ok(links) if !links.is_empty() => links,
                Ok(_) => continue,
                Err(Errno::NOBUFS) => return Err(Errno::NOBUFS),
                Err(_) => continue,
            };
            self.name_first(place, holder, links, wanted, tables, budget);
            if wanted.iter().all(|wanted| wanted.process.is_some()) {
                break;
            }
        }
        Ok(())
    }

    /// Names the highest ancestor that holds each of the sockets, or else the holder.
    fn name_first(
        &mut self,
        place: &mut Place,
        holder: Holder,
        mut links: Vec<Link>,
        wanted: &mut [Wanted],
        tables: Tables,
        budget: &mut Budget,
    ) {
        let mut line = vec![holder];
        while let Some(parent) = line.last().and_then(Holder::parent)
            && line.len() < ANCESTORS
            && self.belongs(parent, &place.network, tables, budget)
            && let Ok(parent) = Holder::open(&self.root, parent)
        {
            line.push(parent);
        }
        // From the top, so that the first to be named stays so.
        while let Some(holder) = line.pop() {
            let own = if line.is_empty() {
                std::mem::take(&mut links)
            } else {
                self.links(&holder, wanted, tables, budget).unwrap_or_default()
            };
            let mut named = false;
            for link in &own {
                named |= name(&holder, link, wanted);
            }
            if named {
                place.remember(holder);
            }
        }
    }

    /// A process's links to what is still wanted.
    fn links(
        &mut self,
        holder: &Holder,
        wanted: &[Wanted],
        tables: Tables,
        budget: &mut Budget,
    ) -> Result<Vec<Link>, Errno> {
        let all_threads = tables == Tables::EachThreads;
        let tables = match tables {
            Tables::Shared => vec!["fd".to_owned()],
            Tables::EachThreads => {
                let threads = holder.threads(&mut self.space)?;
                threads.into_iter().map(|thread| format!("task/{thread}/fd")).collect()
            }
        };
        let mut links = Vec::new();
        for table in &tables {
            let read = holder.sockets(table, &mut self.space, budget, |link, inode| {
                let unnamed = |wanted: &Wanted| wanted.inode == inode && wanted.process.is_none();
                if let Some(index) = wanted.iter().position(unnamed) {
                    let path = format!("{table}/{}", link.to_string_lossy());
                    links.push(Link { index, path });
                }
            });
            match read {
                // One thread has ended; the others have not.
                Err(error) if all_threads && error != Errno::NOBUFS => {}
                read => read?,
            }
        }
        Ok(links)
    }

    /// Is it a process of the namespace?
    fn belongs(&mut self, pid: u32, network: &str, tables: Tables, budget: &mut Budget) -> bool {
        if holder::is_in(&self.root, &pid.to_string(), network, budget) {
            return true;
        }
        // Of a first thread that has ended there is nothing to be seen but the others.
        tables == Tables::EachThreads
            && Holder::open(&self.root, pid)
                .and_then(|holder| holder.threads(&mut self.space))
                .is_ok_and(|threads| {
                    threads.iter().any(|thread| {
                        let task = format!("{pid}/task/{thread}");
                        *thread != pid && holder::is_in(&self.root, &task, network, budget)
                    })
                })
    }
}

/// Names the process of a link, unless the socket has a name or the link is gone. True if it did.
fn name(holder: &Holder, link: &Link, wanted: &mut [Wanted]) -> bool {
    let Some(wanted) = wanted.get_mut(link.index).filter(|wanted| wanted.process.is_none()) else {
        return false;
    };
    wanted.process = holder.name(&link.path, wanted.inode);
    wanted.process.is_some()
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{fs::MetadataExt, net::UnixStream},
        process::{Child, Command},
    };

    use super::*;

    fn own_network() -> u64 {
        std::fs::metadata("/proc/self/ns/net").unwrap().ino()
    }

    fn inode(socket: &UnixStream) -> u64 {
        let copy = OwnedFd::from(socket.try_clone().unwrap());
        std::fs::File::from(copy).metadata().unwrap().ino()
    }

    fn find(place: &mut Place, inodes: &[u64], tables: Tables) -> Vec<Option<Process>> {
        let wanted = |inode: &u64| Wanted { inode: *inode, process: None };
        let mut wanted: Vec<_> = inodes.iter().map(wanted).collect();
        Searcher::new().unwrap().find(place, &mut wanted, tables);
        wanted.into_iter().map(|wanted| wanted.process).collect()
    }

    fn pids(found: Vec<Option<Process>>) -> Vec<Option<u32>> {
        found.into_iter().map(|process| process.map(|process| process.pid)).collect()
    }

    /// A child with the socket as its standard input.
    fn heir(socket: &UnixStream) -> Child {
        let stdin = OwnedFd::from(socket.try_clone().unwrap());
        Command::new("sleep").arg("1000").stdin(stdin).spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn who_made_a_socket_is_named_and_not_who_inherited_it() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let child = heir(&socket);
        for tables in [Tables::Shared, Tables::EachThreads] {
            let found = find(&mut Place::new(own_network()), &[inode(&socket)], tables);
            assert_eq!(pids(found), [Some(std::process::id())], "{tables:?}");
        }
        end(child);
    }

    #[test]
    fn who_still_holds_a_socket_is_named_where_its_maker_does_not() {
        let (socket, other) = UnixStream::pair().unwrap();
        let child = heir(&socket);
        let (inodes, executable) =
            ([inode(&socket), inode(&other)], format!("/proc/{}/exe", child.id()));
        drop(socket);
        let mut place = Place::new(own_network());
        let found = find(&mut place, &inodes, Tables::Shared);
        let executable = std::fs::read_link(executable).unwrap();
        assert_eq!(&*found[0].clone().unwrap().executable, executable.to_str().unwrap());
        assert_eq!(pids(found), [Some(child.id()), Some(std::process::id())]);
        end(child);
        assert_eq!(pids(find(&mut place, &inodes[..1], Tables::Shared)), [None]);
        assert_eq!(place.recent.len(), 1);
    }

    #[test]
    fn who_was_found_is_looked_at_first_the_next_time() {
        let (one, other) = UnixStream::pair().unwrap();
        let mut place = Place::new(own_network());
        find(&mut place, &[inode(&one)], Tables::Shared);
        assert_eq!(place.recent.len(), 1);
        // Now nobody else is of the namespace.
        place.network = "net:[1]".to_owned();
        let found = find(&mut place, &[inode(&other)], Tables::Shared);
        assert_eq!(pids(found), [Some(std::process::id())]);
    }

    #[test]
    fn a_process_of_another_namespace_is_not_looked_into() {
        let (socket, _other) = UnixStream::pair().unwrap();
        for tables in [Tables::Shared, Tables::EachThreads] {
            assert_eq!(find(&mut Place::new(1), &[inode(&socket)], tables), [None]);
        }
    }

    #[test]
    fn a_socket_nobody_holds_is_nobodys() {
        let mut place = Place::new(own_network());
        assert_eq!(find(&mut place, &[u64::MAX], Tables::Shared), [None]);
        assert!(place.recent.is_empty());
    }
}
