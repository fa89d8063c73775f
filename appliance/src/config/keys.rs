//! Every key of the configuration file: the reader refuses what is not here, and a test holds
//! docs/CONFIGURATION.md against this list.

use super::error::Suggestion;

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What it takes, with the unit.
    pub takes: &'static str,
    /// What holds when it is not given.
    pub default: &'static str,
}

/// One kind of table in the file.
#[derive(Debug)]
pub struct Section {
    /// As it is written: `[cache]`, `[[mount]]`; `the top level` for the file itself.
    pub name: &'static str,
    /// What stands before a key in messages: `cache.`.
    pub prefix: &'static str,
    own: &'static [Key],
    /// Keys that are allowed here too, as defaults or overrides of another section.
    shared: &'static [Key],
}

impl Section {
    /// The keys that only this section, or this section first, has.
    pub fn own_keys(&self) -> &'static [Key] {
        self.own
    }

    /// All keys of the section.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.own.iter().chain(self.shared)
    }

    /// Whether the section has this key.
    pub fn has(&self, name: &str) -> bool {
        self.keys().any(|key| key.name == name)
    }

    /// The key nearest to a wrong one, if at most a third of it must change.
    pub fn suggest(&self, wrong: &str) -> Suggestion {
        let limit = (wrong.chars().count() / 3).max(1);
        let distance = |key: &Key| strsim::damerau_levenshtein(key.name, wrong);
        let nearest = self.keys().min_by_key(|key| distance(key));
        Suggestion(nearest.filter(|key| distance(key) <= limit).map(|key| key.name))
    }

    /// The names of all keys, for messages.
    pub fn allowed(&self) -> String {
        self.keys().map(|key| key.name).collect::<Vec<_>>().join(", ")
    }
}

const fn key(name: &'static str, takes: &'static str, default: &'static str) -> Key {
    Key { name, takes, default }
}

/// The file itself.
pub static TOP: Section = Section {
    name: "the top level",
    prefix: "",
    own: &[
        key("memory", "size, at least 128MiB", "512MiB"),
        key("io_threads", "count, 1 to 64", "CPUs, 2 to 4"),
        key("control_socket", "absolute path", "/run/forebay/control.sock"),
        key("cache", "section", "no cache"),
        key("store", "section", "see [store]"),
        key("writeback", "section", "see [writeback]"),
        key("mount", "sections", "required"),
    ],
    shared: &[],
};

/// Where cached data lies.
pub static CACHE: Section = Section {
    name: "[cache]",
    prefix: "cache.",
    own: &[
        key("dir", "absolute path", "one of dir and device"),
        key("device", "absolute path", "one of dir and device"),
        key("size", "size, at least 256MiB", "20GiB in a dir, all of a device"),
        key("passthrough", "auto or off", "auto"),
        key("large_file_min", "size, at least 1MiB", "8MiB"),
        key("large_files_size", "size, up to size less 64MiB", "half of size in a dir, none on a device"),
        key("scrub_rate", "size a second; 0B turns it off", "32MiB"),
    ],
    shared: &[],
};

const STORE_KEYS: &[Key] = &[
    key("endpoint", "http://HOST[:PORT] or https://HOST[:PORT]", "AWS in the region"),
    key("region", "text", "AWS_REGION, the profile's, us-east-1"),
    key("profile", "text", "AWS_PROFILE, default"),
    key("credentials_file", "absolute path", "the usual AWS chain"),
    key("anonymous", "true or false", "false"),
    key("path_style", "true or false", "true with an endpoint"),
    key("ca_file", "absolute path", "the system's authorities"),
    key("connections_max", "count, 1 to 4096", "128"),
    key("attempt_timeout", "time", "10s"),
    key("total_timeout", "time", "1m"),
    key("stall_timeout", "time", "5s"),
    key("attempts_max", "count, 1 to 100", "8"),
    key("backoff_min", "time", "50ms"),
    key("backoff_max", "time", "5s"),
];

/// What holds for every store that does not say otherwise.
pub static STORE: Section = Section { name: "[store]", prefix: "store.", own: STORE_KEYS, shared: &[] };

/// How written data reaches its stores.
pub static WRITEBACK: Section = Section {
    name: "[writeback]",
    prefix: "writeback.",
    own: &[
        key("dir", "absolute path", "staging in cache.dir"),
        key("dirty_limit", "size, at least 16MiB", "50GiB"),
        key("kept_limit", "size", "20GiB"),
        key("files_max", "count, 1000 to 100000000", "1000000"),
        key("tree_depth", "count, 0 to 16", "1"),
        key("rename_max", "count, 0 to 10000000", "10000"),
        key("delay_large", "time", "2s"),
        key("delay_small", "time", "10s"),
        key("small_file", "size", "16MiB"),
        key("period", "time", "10s"),
        key("part_size", "size, at least 5MiB", "16MiB"),
        key("uploads_max", "count, 1 to 256", "8"),
        key("upload_bandwidth", "size a second, such as 200MiB/s", "no limit"),
        key("sync_on_close", "no, local or remote", "no"),
        key("rule", "sections", "none"),
    ],
    shared: &[],
};

/// Other settings for some paths; the first that matches holds.
pub static RULE: Section = Section {
    name: "[[writeback.rule]]",
    prefix: "writeback.rule.",
    own: &[
        key("path", "pattern of paths inside the mount", "required"),
        key("delay", "time", "delay_large or delay_small"),
        key("period", "time", "period for small files, none for large ones"),
    ],
    shared: &[],
};

/// One mount.
pub static MOUNT: Section = Section {
    name: "[[mount]]",
    prefix: "mount.",
    own: &[
        key("path", "absolute path", "required"),
        key("url", "s3://BUCKET[/PREFIX] or file:///DIRECTORY", "url or mount.tree is required"),
        key("tree", "sections", "url or mount.tree is required"),
        key("consistency", "immutable, ttl=TIME or strict", "ttl=30s"),
        key("transport", "auto, uring or dev", "auto"),
        key("read_write", "true or false", "false"),
        key("allow_other", "true or false", "false"),
        key("threads", "count, 1 to 256", "CPUs, 2 to 8"),
        key("uid", "count", "the daemon's"),
        key("gid", "count", "the daemon's"),
        key("file_mode", "octal text", "\"0444\"; read-write: \"0644\""),
        key("dir_mode", "octal text", "\"0555\"; read-write: \"0755\""),
    ],
    shared: STORE_KEYS,
};

/// One store inside a mount.
pub static TREE: Section = Section {
    name: "[[mount.tree]]",
    prefix: "mount.tree.",
    own: &[
        key("at", "path inside the mount", "\"\" (the mount's root)"),
        key("url", "s3://BUCKET[/PREFIX] or file:///DIRECTORY", "required"),
    ],
    shared: STORE_KEYS,
};

/// Every section, in the order of the documentation.
pub static SECTIONS: [&Section; 7] = [&TOP, &CACHE, &STORE, &WRITEBACK, &RULE, &MOUNT, &TREE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_are_suggested_and_far_ones_are_not() {
        assert_eq!(CACHE.suggest("sise"), Suggestion(Some("size")));
        assert_eq!(MOUNT.suggest("consistancy"), Suggestion(Some("consistency")));
        assert_eq!(MOUNT.suggest("allow-other"), Suggestion(Some("allow_other")));
        assert_eq!(CACHE.suggest("bandwidth"), Suggestion(None));
    }

    #[test]
    fn defaults_of_the_list_are_those_of_the_code() {
        let of =
            |section: &Section, name: &str| section.keys().find(|key| key.name == name).expect(name).default;
        let limits = ufs::retry::Limits::default();
        let time = |duration| crate::config::units::DurationText(duration).to_string();
        assert_eq!(of(&STORE, "attempt_timeout"), time(limits.attempt_timeout));
        assert_eq!(of(&STORE, "total_timeout"), time(limits.total_timeout));
        assert_eq!(of(&STORE, "stall_timeout"), time(limits.stall_timeout));
        assert_eq!(of(&STORE, "attempts_max"), limits.attempts_max.to_string());
        assert_eq!(of(&STORE, "backoff_min"), time(limits.backoff_min));
        assert_eq!(of(&STORE, "backoff_max"), time(limits.backoff_max));
        assert_eq!(of(&STORE, "connections_max"), ufs::s3::Settings::default().connections_max.to_string());
        let size = |bytes| crate::config::units::SizeText(bytes).to_string();
        assert_eq!(of(&WRITEBACK, "dirty_limit"), size(crate::config::DIRTY_BYTES_DEFAULT));
        assert_eq!(of(&WRITEBACK, "files_max"), crate::config::FILES_DEFAULT.to_string());
        assert_eq!(of(&WRITEBACK, "tree_depth"), crate::config::TREE_DEPTH_DEFAULT.to_string());
        assert_eq!(of(&WRITEBACK, "rename_max"), crate::config::RENAME_DEFAULT.to_string());
        assert_eq!(of(&CACHE, "large_file_min"), size(crate::config::LARGE_FILE_BYTES_DEFAULT));
        assert_eq!(of(&CACHE, "scrub_rate"), size(crate::config::SCRUB_RATE_DEFAULT));
        let settings = crate::writeback::Settings::default();
        assert_eq!(of(&WRITEBACK, "delay_large"), time(settings.delay_large));
        assert_eq!(of(&WRITEBACK, "delay_small"), time(settings.delay_small));
        assert_eq!(of(&WRITEBACK, "small_file"), size(settings.small_file_bytes));
        assert_eq!(of(&WRITEBACK, "period"), time(settings.period));
        assert_eq!(of(&WRITEBACK, "part_size"), size(settings.part_bytes));
        assert_eq!(of(&WRITEBACK, "kept_limit"), size(settings.kept_limit_bytes));
        assert_eq!(of(&WRITEBACK, "uploads_max"), settings.uploads_max.to_string());
        assert_eq!(of(&MOUNT, "consistency"), crate::config::Consistency::DEFAULT.to_string());
        assert_eq!(of(&MOUNT, "transport"), crate::config::Transport::DEFAULT.to_string());
    }
}
