//! [`Below`]: the stores of a mount, and the namespace that shows what they have.

use std::sync::Arc;

use ufs::{Key, Meta};

use crate::config::TreePath;
use crate::namespace::{Installed, Namespace};
use crate::store::Store;

/// What lies below the staged tree of a mount.
pub struct Below {
    stores: Vec<Arc<Store>>,
    namespace: Namespace,
}

/// Where a path is in a store.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) index: u16,
    pub(super) store: Arc<Store>,
    pub(super) key: Key,
}

impl Target {
    /// The base that an object at this place is.
    pub(super) fn base(&self, meta: Option<&Meta>) -> staging::Base {
        staging::Base {
            store: self.index,
            key: self.key.as_str().into(),
            version: meta.map(|meta| meta.version.as_str().into()),
            size_bytes: meta.map_or(0, |meta| meta.size_bytes),
        }
    }

    /// The key of the directory of this name.
    pub(super) fn into_directory(self) -> Option<Self> {
        let key = Key::new(format!("{}/", self.key)).ok()?;
        Some(Self { key, ..self })
    }
}

impl Below {
    /// The stores in the order of the mount's table, and the namespace over them.
    pub fn new(stores: Vec<Arc<Store>>, namespace: Namespace) -> Self {
        Self { stores, namespace }
    }

    pub(super) fn stores(&self) -> &[Arc<Store>] {
        &self.stores
    }

    /// The store that takes a path; `None` where none can have it.
    pub(super) fn target(&self, path: &str) -> Option<Target> {
        let origin = self.namespace.origin(&TreePath::new(path).ok()?).ok()?;
        let store = Arc::clone(self.stores.get(usize::from(origin.store.0))?);
        Some(Target { index: origin.store.0, store, key: origin.key })
    }

    /// The place of a base.
    pub(super) fn target_of(&self, base: &staging::Base) -> Option<Target> {
        let store = Arc::clone(self.stores.get(usize::from(base.store))?);
        Some(Target { index: base.store, store, key: Key::new(&*base.key).ok()? })
    }

    /// Tells the namespace what a store has now, so that nobody has to list for it. The staged tree still shows the name
    /// when this fails; the namespace then asks the store when its time has come.
    pub(super) async fn install(&self, path: &str, now: Installed<'_>) {
        let Ok(tree_path) = TreePath::new(path) else { return };
        if let Err(error) = self.namespace.install(&tree_path, now).await {
            tracing::warn!(path, %error, "the namespace could not take in what was published");
        }
    }

    /// The store has something that the namespace may not know of.
    pub(super) async fn doubt(&self, path: &str) {
        let Ok(tree_path) = TreePath::new(path) else { return };
        if let Err(error) = self.namespace.refresh(&tree_path, false).await {
            tracing::warn!(path, %error, "the namespace could not look at what the store has");
        }
    }
}
