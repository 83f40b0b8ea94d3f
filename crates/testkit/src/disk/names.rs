//! Names: as processes see them, and as they are on the platter.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use waybill_rt::Entropy;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    File(u64),
}

impl Node {
    fn file(&self) -> Option<u64> {
        match self {
            Self::File(id) => Some(*id),
            Self::Dir => None,
        }
    }
}

/// A change of names that was not synced.
#[derive(Debug, Clone)]
enum Change {
    Make(PathBuf, Node),
    Move(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

impl Change {
    fn is_in(&self, dir: &Path) -> bool {
        let within = |path: &PathBuf| path.parent() == Some(dir);
        match self {
            Self::Make(path, _) | Self::Remove(path) => within(path),
            Self::Move(from, to, _) => within(from) || within(to),
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Make(path, node) => drop(names.insert(path, node)),
            Self::Move(from, to, node) => {
                names.remove(&from);
                names.insert(to, node);
            }
            Self::Remove(path) => drop(names.remove(&path)),
        }
    }
}

/// All names of a disk. Paths are taken as they are: no links, no `..`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Change>,
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

impl Names {
    pub(crate) fn get(&self, path: &Path) -> Option<Node> {
        // The root and what relative paths hang from exist.
        if path.parent().is_none() || path == Path::new(".") {
            return Some(Node::Dir);
        }
        self.live.get(path).copied()
    }

    pub(crate) fn file(&self, path: &Path) -> io::Result<u64> {
        match self.get(path) {
            Some(Node::File(id)) => Ok(id),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn dir(&self, path: &Path) -> io::Result<()> {
        match self.get(path) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.live);
        self.pending.push(change);
    }

    pub(crate) fn make_file(&mut self, path: &Path, id: u64) -> io::Result<()> {
        self.dir(path.parent().unwrap_or(Path::new("")))?;
        self.change(Change::Make(path.to_owned(), Node::File(id)));
        Ok(())
    }

    pub(crate) fn make_dirs(&mut self, path: &Path) -> io::Result<()> {
        match self.get(path) {
            Some(Node::Dir) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => {}
        }
        if let Some(parent) = path.parent() {
            self.make_dirs(parent)?;
        }
        self.change(Change::Make(path.to_owned(), Node::Dir));
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.file(from)?;
        self.dir(to.parent().unwrap_or(Path::new("")))?;
        self.change(Change::Move(from.to_owned(), to.to_owned(), Node::File(id)));
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    pub(crate) fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.dir(dir)?;
        Ok(self.live.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    pub(crate) fn sync(&mut self, dir: &Path) -> io::Result<()> {
        self.dir(dir)?;
        for change in std::mem::take(&mut self.pending) {
            if change.is_in(dir) {
                change.apply(&mut self.durable);
            } else {
                self.pending.push(change);
            }
        }
        Ok(())
    }

    /// The power went: any of the changes that were not synced may have reached the platter. What hangs from a folder
    /// that did not is gone.
    pub(crate) fn power_loss(&mut self, entropy: &dyn Entropy) {
        let keep_at_all = entropy.below(3) > 0;
        for change in std::mem::take(&mut self.pending) {
            if keep_at_all && entropy.below(2) == 0 {
                change.apply(&mut self.durable);
            }
        }
        let mut whole: BTreeMap<PathBuf, Node> = BTreeMap::new();
        // In path order a folder comes before what is in it.
        for (path, node) in &self.durable {
            let rooted = path.parent().is_none_or(|parent| {
                parent.parent().is_none()
                    || parent.as_os_str().is_empty()
                    || whole.get(parent) == Some(&Node::Dir)
            });
            if rooted {
                whole.insert(path.clone(), *node);
            }
        }
        self.durable.clone_from(&whole);
        self.live = whole;
    }

    /// Files with a name, now or after a power loss.
    pub(crate) fn files(&self) -> impl Iterator<Item = u64> {
        self.live_files().chain(self.durable.values().filter_map(Node::file))
    }

    /// Files with a name now.
    pub(crate) fn live_files(&self) -> impl Iterator<Item = u64> {
        self.live.values().filter_map(Node::file)
    }
}
