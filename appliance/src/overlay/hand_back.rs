//! Handing clean nodes back to the namespace, so that the staged tree holds what is new and little else.
//!
//! A name goes back when nothing refers to it and the namespace shows the same under it: the same version, permissions and owner.
//! What only this host knows (links, extended attributes, other permissions) stays. Times become those of the store.

use std::sync::Weak;
use std::time::{Duration, Instant};

use staging::{Attributes, Kind, NodeNumber};
use tokio::sync::watch;

use super::{Overlay, OverlayError};
use crate::namespace::{Child, Node};

/// Staged nodes from which on clean ones go back; three quarters of `files_max` if that is less.
const NODES_MAX: u64 = 100_000;
/// Nodes that are looked at in a round.
const ROUND_NODES_MAX: usize = 10_000;
/// Between two rounds, at the least and, since the kernel drops references by itself, at the most.
const PERIOD_MIN: Duration = Duration::from_secs(1);
const PERIOD_MAX: Duration = Duration::from_secs(60);
/// A round may take this part of the time.
const ROUND_SHARE: u32 = 10;

/// Hands back for as long as the overlay is there, after each publication that `published` tells of.
pub async fn run(overlay: Weak<Overlay>, mut published: watch::Receiver<u64>) {
    loop {
        let Some(alive) = overlay.upgrade() else { return };
        let started = Instant::now();
        if let Err(error) = alive.hand_back().await {
            tracing::debug!(%error, "staged names stay, their store cannot be asked");
        }
        drop(alive);
        tokio::time::sleep(PERIOD_MIN.max(started.elapsed() * ROUND_SHARE)).await;
        if let Ok(Err(_write_back_is_gone)) = tokio::time::timeout(PERIOD_MAX, published.changed()).await {
            return;
        }
    }
}

impl Overlay {
    /// Hands back as many nodes as are too many, as far as they are clean.
    async fn hand_back(&self) -> Result<(), OverlayError> {
        let limit = (self.parts.files_max as u64 / 4 * 3).min(NODES_MAX);
        let nodes = self.parts.staging.stats().nodes;
        if nodes <= limit {
            return Ok(());
        }
        let surplus = (nodes - limit / 10 * 9) as usize;
        let is_shown_so = |attributes: &Attributes, is_directory| self.is_shown_so(attributes, is_directory);
        let found = self.parts.staging.releasable(surplus.min(ROUND_NODES_MAX), is_shown_so);
        let mut released = 0;
        for number in found {
            released += u64::from(self.release(number).await?);
        }
        tracing::debug!(nodes, released, "clean names were handed back");
        Ok(())
    }

    async fn release(&self, number: NodeNumber) -> Result<bool, OverlayError> {
        let staging = &self.parts.staging;
        let Some((parent, name)) = staging.parent(number) else { return Ok(false) };
        let Some(below) = self.below(parent.0).await? else { return Ok(false) };
        let Some(child) = self.parts.namespace.find(below, &name).await? else { return Ok(false) };
        let _names = self.lock();
        let is_same = staging.parent(number).is_some_and(|now| now == (parent, name));
        if !is_same || !self.is_known(number, &child) || !staging.release(number)? {
            return Ok(false);
        }
        self.forget_below(number);
        Ok(true)
    }

    /// Whether the namespace has what a staged node is a copy of.
    fn is_known(&self, number: NodeNumber, child: &Child) -> bool {
        let Some(view) = self.parts.staging.node(number) else { return false };
        let version = child.object.as_ref().map(|object| object.version.as_str());
        match (&view.kind, &child.node) {
            (Kind::Directory { .. }, Node::Directory(_)) => true,
            (Kind::File { .. }, Node::File(_)) => version.is_some() && version == view.version.as_deref(),
            _ => false,
        }
    }

    fn is_shown_so(&self, attributes: &Attributes, is_directory: bool) -> bool {
        let shown = &self.parts.presentation;
        let mode = if is_directory { shown.dir_mode } else { shown.file_mode };
        (attributes.mode, attributes.uid, attributes.gid) == (mode, shown.uid, shown.gid)
    }
}
