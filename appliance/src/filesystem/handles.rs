//! [`Handles`]: open files and directories by the number that the kernel gives back with each request.

use std::sync::Arc;

use parking_lot::RwLock;

/// A table of open things. Numbers are reused after [`close`](Handles::close); the kernel's own limit on open files
/// bounds it.
pub(super) struct Handles<T> {
    table: RwLock<Table<T>>,
}

struct Table<T> {
    slots: Vec<Option<Arc<T>>>,
    free: Vec<usize>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { table: RwLock::new(Table { slots: Vec::new(), free: Vec::new() }) }
    }
}

impl<T> Handles<T> {
    /// Takes a thing in and gives its number.
    pub(super) fn open(&self, thing: Arc<T>) -> u64 {
        let mut table = self.table.write();
        let slot = table.free.pop().unwrap_or_else(|| {
            table.slots.push(None);
            table.slots.len() - 1
        });
        table.slots[slot] = Some(thing);
        slot as u64
    }

    /// The thing behind a number.
    pub(super) fn get(&self, number: u64) -> Option<Arc<T>> {
        self.table.read().slots.get(usize::try_from(number).ok()?)?.clone()
    }

    /// Lets go of a number.
    pub(super) fn close(&self, number: u64) -> Option<Arc<T>> {
        let slot = usize::try_from(number).ok()?;
        let mut table = self.table.write();
        let thing = table.slots.get_mut(slot)?.take()?;
        table.free.push(slot);
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reused_and_closed_ones_lead_nowhere() {
        let handles = Handles::default();
        let first = handles.open(Arc::new("a"));
        let second = handles.open(Arc::new("b"));
        assert_eq!(handles.get(second).as_deref(), Some(&"b"));
        assert!(handles.close(first).is_some());
        assert!(handles.get(first).is_none());
        assert!(handles.close(first).is_none());
        assert_eq!(handles.open(Arc::new("c")), first);
    }
}
