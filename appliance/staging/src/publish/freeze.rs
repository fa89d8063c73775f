//! Small files that are written again while an event of theirs waits, as `latest_checkpointed_iteration.txt` is.
//!
//! What follows the event may rely on the old content, and the new content may rely on what follows. So the event keeps
//! the old content, and the next close makes an event of its own. Large files keep their place with their newer
//! content: nothing points elsewhere from within them, and a copy would cost what the staging saves.

use crate::content::Content;
use crate::data::StagedFile;
use crate::error::StageError;
use crate::journal::Room;
use crate::record::{Change, EventAction};
use crate::tree::Tree;
use crate::types::{EventSeq, NodeNumber};

/// Contents up to this size are kept; pointers to a checkpoint are below.
const FROZEN_BYTES_MAX: u64 = 4096;
/// Contents that one file may have waiting; the next one takes the place of the last.
const FROZEN_MAX: usize = 64;

impl StagedFile {
    /// Called before each change of bytes that are there: keeps them for the event that waits, if something may rely on them.
    pub(crate) fn keep_published(&self, first_byte: u64) -> Result<(), StageError> {
        let is_candidate = |content: &Content| {
            !content.is_in_written
                && content.now.size_bytes <= FROZEN_BYTES_MAX
                && first_byte < content.now.size_bytes
        };
        if !is_candidate(&self.node.content.lock()) {
            return Ok(());
        }
        let shared = &self.staging.shared;
        let mut tree = shared.tree_to_change()?;
        let Some(seq) = waiting_put(&tree, self.number()) else { return Ok(()) };
        let Some(bytes) = self.all_bytes()? else { return Ok(()) };
        let mut event = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?.record.clone();
        event.frozen = Some(bytes.into());
        shared.commit(&mut tree, vec![Change::Event { seq, event }], Room::Grows)?;
        Ok(())
    }

    /// The content, when all of it is here.
    fn all_bytes(&self) -> Result<Option<Vec<u8>>, StageError> {
        let (size_bytes, is_complete) = {
            let content = self.node.content.lock();
            (content.now.size_bytes, content.is_complete())
        };
        let Some(backing) = self.backing().filter(|_| is_complete) else { return Ok(None) };
        let mut bytes = vec![0; size_bytes as usize];
        let read = backing.read_exact_at(&mut bytes, 0);
        read.map_err(|source| StageError::Io { action: "read a file that is written again", source })?;
        Ok(Some(bytes))
    }
}

/// The node's put, when an event came after it that may rely on it.
fn waiting_put(tree: &Tree, number: NodeNumber) -> Option<EventSeq> {
    let node = tree.nodes.get(&number).filter(|node| node.frozen.len() < FROZEN_MAX)?;
    let seq = node.event?;
    let event = tree.events.get(&seq)?;
    let is_put = matches!(event.record.action, EventAction::Put { .. }) && event.record.sent_to.is_none();
    (is_put && tree.order.has_later(seq, &event.footprint)).then_some(seq)
}
