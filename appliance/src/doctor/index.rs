//! Whether the memory of the slab index is enough to fill the cache.

use super::Finding;
use crate::config::CacheConfig;
use crate::config::units::SizeText;
use crate::memory::Shares;

/// Smaller than what training sets have on average; with less memory than this takes, a cache is worth saying so.
pub(crate) const OBJECT_BYTES_USUAL: u64 = 16 << 10;
/// The most memory that is proposed.
const MEMORY_BYTES_MAX: u64 = 1 << 40;

pub(super) fn examine(cache: &CacheConfig, memory_bytes: u64) -> Finding {
    let check = format!("cache index in {} of memory", SizeText(memory_bytes));
    let least = match Shares::of(memory_bytes).object_bytes_min(cache.size_bytes) {
        Ok(least) => least,
        Err(error) => return Finding::fail(check, error.to_string(), "raise memory (--memory)"),
    };
    let found = format!("the cache can be filled with objects of {least} B and more on average");
    if least <= OBJECT_BYTES_USUAL {
        return Finding::ok(check, found);
    }
    let wanted = memory_for(cache.size_bytes, memory_bytes);
    let fix = wanted.map_or_else(
        || "lower cache.size (--cache-size)".to_owned(),
        |bytes| format!("raise memory (--memory) to {}", SizeText(bytes)),
    );
    Finding::warn(check, found, fix)
}

/// The first doubling of the memory that is enough for objects of the usual size.
fn memory_for(cache_bytes: u64, memory_bytes: u64) -> Option<u64> {
    let doublings = std::iter::successors(Some(memory_bytes), |bytes| bytes.checked_mul(2));
    let mut bounded = doublings.take_while(|bytes| *bytes <= MEMORY_BYTES_MAX);
    let is_enough = |bytes: &u64| {
        let least = Shares::of(*bytes).object_bytes_min(cache_bytes);
        least.is_ok_and(|least| least <= OBJECT_BYTES_USUAL)
    };
    bounded.find(is_enough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CacheLocation;
    use crate::doctor::Level;

    fn finding(cache_bytes: u64, memory_bytes: u64) -> Finding {
        let location = CacheLocation::Directory("/cache".into());
        examine(&CacheConfig { location, size_bytes: cache_bytes, large: None }, memory_bytes)
    }

    #[test]
    fn a_cache_that_the_index_cannot_fill_names_the_memory_that_can() {
        assert_eq!(finding(20 << 30, 512 << 20).level, Level::Ok);
        let terabyte = finding(1 << 40, 512 << 20);
        assert_eq!(terabyte.level, Level::Warn, "{terabyte:?}");
        let wanted = terabyte.fix.strip_prefix("raise memory (--memory) to ").expect("a size to set");
        let wanted = crate::config::units::parse_size(wanted).expect("a size");
        assert_eq!(finding(1 << 40, wanted).level, Level::Ok);
        assert_eq!(finding(1 << 40, wanted / 2).level, Level::Warn);
    }
}
