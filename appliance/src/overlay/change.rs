//! Making, removing and renaming names.

use staging::{Attributes, Kind, Lookup, NewNode, NodeNumber, NodeView, RenameMode};

pub use staging::NewKind;

use super::adoption::{Settled, shows_through};
use super::{ATTEMPTS_MAX, Locked, Overlay, OverlayError};
use crate::config::TreePath;
use crate::namespace::NoOrigin;

/// A name in a directory, as requests have it.
pub(super) type Place<'a> = (u64, &'a str);

impl Overlay {
    /// Makes a file, directory or symbolic link, and takes one reference on it.
    pub async fn make(
        &self,
        (parent, name): Place<'_>,
        kind: &NewKind,
        attributes: Attributes,
    ) -> Result<NodeView, OverlayError> {
        for _attempt in 0..ATTEMPTS_MAX {
            let before = self.before(parent, name).await?;
            if matches!(before, super::adoption::Before::Clean(_)) {
                return Err(OverlayError::Exists);
            }
            let locked = self.lock();
            let Some(settled) = self.settle(&locked, parent, name, &before)? else { continue };
            if settled.node.is_some() {
                return Err(OverlayError::Exists);
            }
            self.store_takes(settled.directory, name)?;
            let new = NewNode {
                kind: kind.clone(),
                attributes: self.inherited(settled.directory, kind, attributes),
            };
            let view = self.parts.staging.create(settled.directory, name, new, None)?;
            self.parts.staging.reference(view.number, 1);
            return Ok(view);
        }
        Err(OverlayError::Contended { attempts: ATTEMPTS_MAX })
    }

    /// Removes the name of a file or symbolic link.
    pub async fn unlink(&self, place: Place<'_>) -> Result<(), OverlayError> {
        self.change(place, |_locked, settled| {
            settled.node.as_ref().ok_or(OverlayError::NotFound)?;
            Ok(self.parts.staging.unlink(settled.directory, place.1, None)?)
        })
        .await
    }

    /// Removes an empty directory.
    pub async fn remove_directory(&self, (parent, name): Place<'_>) -> Result<(), OverlayError> {
        let directory = self.change((parent, name), |_locked, settled| self.directory_of(settled)).await?;
        self.check_empty(&directory).await?;
        self.change((parent, name), |_locked, settled| {
            let again = self.directory_of(settled)?;
            if again.number != directory.number {
                return Err(OverlayError::NotEmpty);
            }
            self.parts.staging.remove_directory(settled.directory, name, None)?;
            self.forget_below(again.number);
            Ok(())
        })
        .await
    }

    /// Moves a name, over another one or in exchange for it.
    pub async fn rename(&self, from: Place<'_>, to: Place<'_>, mode: RenameMode) -> Result<(), OverlayError> {
        for _attempt in 0..ATTEMPTS_MAX {
            if self.try_rename(from, to, mode).await? {
                return Ok(());
            }
        }
        Err(OverlayError::Contended { attempts: ATTEMPTS_MAX })
    }

    /// False: one of the names leads elsewhere than when it was prepared.
    async fn try_rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        mode: RenameMode,
    ) -> Result<bool, OverlayError> {
        let source =
            self.change(from, |_locked, settled| settled.node.clone().ok_or(OverlayError::NotFound)).await?;
        let target = self.change(to, |_locked, settled| Ok(settled.node.clone())).await?;
        self.prepare_move(&source).await?;
        if let Some(target) = &target {
            match (mode, &target.kind) {
                (RenameMode::Exchange, _) => self.prepare_move(target).await?,
                (RenameMode::Replace, Kind::Directory { .. }) => self.check_empty(target).await?,
                (RenameMode::Replace | RenameMode::NoReplace, _) => {}
            }
        }
        let locked = self.lock();
        let (from_directory, to_directory) =
            (self.adopt_directory(&locked, from.0)?, self.adopt_directory(&locked, to.0)?);
        let staged = |directory, name, expected: Option<NodeNumber>| match self
            .parts
            .staging
            .lookup(directory, name)
        {
            Lookup::Node(view) => Some(view.number) == expected,
            Lookup::Whiteout | Lookup::Absent | Lookup::Unknown => expected.is_none(),
        };
        let target_number = target.as_ref().map(|target| target.number);
        if !staged(from_directory, from.1, Some(source.number)) || !staged(to_directory, to.1, target_number)
        {
            return Ok(false);
        }
        self.same_store((from_directory, from.1), (to_directory, to.1))?;
        self.parts.staging.rename((from_directory, from.1), (to_directory, to.1), mode, None)?;
        for moved in [Some(&source), target.as_ref()].into_iter().flatten() {
            self.forget_below(moved.number);
        }
        Ok(true)
    }

    /// Settles one name and applies a change to it, again when the staged tree has changed it meanwhile.
    async fn change<T>(
        &self,
        (parent, name): Place<'_>,
        apply: impl Fn(&Locked<'_>, &Settled) -> Result<T, OverlayError>,
    ) -> Result<T, OverlayError> {
        for _attempt in 0..ATTEMPTS_MAX {
            let before = self.before(parent, name).await?;
            let locked = self.lock();
            if let Some(settled) = self.settle(&locked, parent, name, &before)? {
                return apply(&locked, &settled);
            }
        }
        Err(OverlayError::Contended { attempts: ATTEMPTS_MAX })
    }

    fn directory_of(&self, settled: &Settled) -> Result<NodeView, OverlayError> {
        let view = settled.node.clone().ok_or(OverlayError::NotFound)?;
        match view.kind {
            Kind::Directory { .. } => self.check_movable(view),
            Kind::File { .. } | Kind::Symlink { .. } => Err(staging::StageError::NotADirectory.into()),
        }
    }

    /// A directory of the mount's table stays where it is.
    fn check_movable(&self, view: NodeView) -> Result<NodeView, OverlayError> {
        let path = self.path(view.number).ok_or(OverlayError::NotFound)?;
        if self.parts.namespace.is_place(&path) { Err(OverlayError::Place) } else { Ok(view) }
    }

    /// A directory that moves takes everything below it along.
    async fn prepare_move(&self, view: &NodeView) -> Result<(), OverlayError> {
        if !matches!(view.kind, Kind::Directory { .. }) {
            return Ok(());
        }
        let view = self.check_movable(view.clone())?;
        self.adopt_below(view.number).await
    }

    /// Whether a directory has no names, neither here nor in the store.
    async fn check_empty(&self, view: &NodeView) -> Result<(), OverlayError> {
        let staging = &self.parts.staging;
        if staging.entries(view.number).unwrap_or_default().iter().any(|entry| entry.node.is_some()) {
            return Err(OverlayError::NotEmpty);
        }
        if !shows_through(view) || self.below(view.number.0).await?.is_none() {
            return Ok(());
        }
        let path = self.path(view.number).ok_or(OverlayError::NotFound)?;
        let mut is_empty = true;
        let each = &mut |child: crate::namespace::Child| {
            is_empty = staging.lookup(view.number, &child.name) != Lookup::Unknown;
            is_empty
        };
        self.parts.namespace.scan(&path, each).await?;
        if is_empty { Ok(()) } else { Err(OverlayError::NotEmpty) }
    }

    /// Whether a store can keep a name in a directory.
    fn store_takes(&self, directory: NodeNumber, name: &str) -> Result<(), OverlayError> {
        self.origin(directory, name).map(drop)
    }

    fn same_store(&self, from: (NodeNumber, &str), to: (NodeNumber, &str)) -> Result<(), OverlayError> {
        let (from, to) = (self.origin(from.0, from.1)?, self.origin(to.0, to.1)?);
        if from.store == to.store { Ok(()) } else { Err(OverlayError::OtherStore) }
    }

    /// Which store keeps a name in a directory, and under which key.
    pub(super) fn origin(
        &self,
        directory: NodeNumber,
        name: &str,
    ) -> Result<crate::namespace::Origin, OverlayError> {
        let path = self.path(directory).ok_or(OverlayError::NotFound)?;
        let path: TreePath = path.join(name).map_err(|_too_long| OverlayError::KeyTooLong)?;
        self.parts.namespace.origin(&path).map_err(|reason| match reason {
            NoOrigin::Place => OverlayError::Place,
            NoOrigin::NoStore => OverlayError::NoStore,
            NoOrigin::TooLong => OverlayError::KeyTooLong,
        })
    }

    /// In a directory with the set-group-id bit, what is made gets its group, and directories the bit (inode(7)).
    fn inherited(&self, directory: NodeNumber, kind: &NewKind, mut attributes: Attributes) -> Attributes {
        let parent = self.parts.staging.node(directory).map(|view| view.attributes);
        if let Some(parent) = parent.filter(|parent| u32::from(parent.mode) & libc::S_ISGID != 0) {
            attributes.gid = parent.gid;
            if matches!(kind, NewKind::Directory) {
                attributes.mode |= libc::S_ISGID as u16;
            }
        }
        attributes
    }
}
