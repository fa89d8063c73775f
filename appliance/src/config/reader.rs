//! [`Table`]: typed access to one TOML table, with the line of everything that is wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place, ValueError};
use super::given::Given;
use super::keys::Section;
use super::units;

/// A file's name and text; finds lines.
#[derive(Clone, Debug)]
pub(super) struct Source<'t> {
    pub(super) file: Arc<Path>,
    pub(super) text: &'t str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// The parser's error as one line.
    pub(super) fn syntax_error(&self, error: &toml::de::Error) -> ConfigError {
        ConfigError::Syntax {
            file: self.file.to_path_buf(),
            line: self.line(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        }
    }
}

/// One table of the file whose keys are all known.
#[derive(Debug)]
pub(super) struct Table<'t> {
    source: &'t Source<'t>,
    section: &'static Section,
    table: &'t DeTable<'t>,
    line: usize,
}

impl<'t> Table<'t> {
    /// Wraps a table after checking that its section has every key.
    pub(super) fn open(
        source: &'t Source<'t>,
        section: &'static Section,
        table: &'t DeTable<'t>,
        offset: usize,
    ) -> Result<Self, ConfigError> {
        // The order of the file, so that the first wrong line is the one that is reported.
        let unknown =
            table.keys().filter(|key| !section.has(key.get_ref())).min_by_key(|key| key.span().start);
        if let Some(key) = unknown {
            return Err(ConfigError::UnknownKey {
                file: source.file.to_path_buf(),
                line: source.line(key.span().start),
                key: key.get_ref().to_string(),
                section: section.name,
                suggestion: section.suggest(key.get_ref()),
                allowed: section.allowed(),
            });
        }
        Ok(Self { source, section, table, line: source.line(offset) })
    }

    /// The section's own place, for what is missing from it.
    pub(super) fn place(&self) -> Place {
        Place::File { file: self.source.file.clone(), line: self.line, key: self.section.name.to_owned() }
    }

    fn get(&self, key: &str) -> Option<(&'t DeValue<'t>, Place)> {
        debug_assert!(self.section.has(key), "{key} is not in the list of keys");
        let value = self.table.get(key)?;
        let place = Place::File {
            file: self.source.file.clone(),
            line: self.source.line(value.span().start),
            key: format!("{}{key}", self.section.prefix),
        };
        Some((value.get_ref(), place))
    }

    /// A value that is read from text by `parse`.
    pub(super) fn parsed<T, E: Into<ValueError>>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Given<T>>, ConfigError> {
        let Some((value, place)) = self.get(key) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(&place, "text in quotes", value))?;
        match parse(text) {
            Ok(value) => Ok(Some(Given { value, place })),
            Err(source) => Err(ConfigError::Value { place, source: source.into() }),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<Given<String>>, ConfigError> {
        self.parsed(key, |text| if text.is_empty() { Err(ValueError::Empty) } else { Ok(text.to_owned()) })
    }

    pub(super) fn path(&self, key: &str) -> Result<Option<Given<PathBuf>>, ConfigError> {
        self.parsed(key, |text| {
            let path = PathBuf::from(text);
            if path.is_absolute() { Ok(path) } else { Err(ValueError::RelativePath { path }) }
        })
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<Given<u64>>, ConfigError> {
        self.parsed(key, units::parse_size)
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Given<Duration>>, ConfigError> {
        self.parsed(key, units::parse_duration)
    }

    pub(super) fn switch(&self, key: &str) -> Result<Option<Given<bool>>, ConfigError> {
        let Some((value, place)) = self.get(key) else { return Ok(None) };
        let value = value.as_bool().ok_or_else(|| wrong_type(&place, "true or false", value))?;
        Ok(Some(Given { value, place }))
    }

    /// A whole number from `min` to `max`.
    pub(super) fn count(&self, key: &str, min: u32, max: u32) -> Result<Option<Given<u32>>, ConfigError> {
        let Some((value, place)) = self.get(key) else { return Ok(None) };
        let number = value.as_integer().ok_or_else(|| wrong_type(&place, "a whole number", value))?;
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (min..=max).contains(&value) => Ok(Some(Given { value, place })),
            _ => {
                let source =
                    ValueError::Range { value: number.to_string(), min: min.into(), max: max.into() };
                Err(ConfigError::Value { place, source })
            }
        }
    }

    /// A table of its own section, such as `[cache]`.
    pub(super) fn section(
        &self,
        key: &str,
        section: &'static Section,
    ) -> Result<Option<Table<'t>>, ConfigError> {
        let Some((value, place)) = self.get(key) else { return Ok(None) };
        let table = value.as_table().ok_or_else(|| wrong_type(&place, "a section", value))?;
        Table::open(self.source, section, table, self.offset(key)).map(Some)
    }

    /// The tables of a list of sections, such as `[[mount]]`.
    pub(super) fn sections(
        &self,
        key: &str,
        section: &'static Section,
    ) -> Result<Vec<Table<'t>>, ConfigError> {
        let Some((value, place)) = self.get(key) else { return Ok(Vec::new()) };
        let expected = "a list of sections, each headed by the name in double brackets";
        let items = value.as_array().ok_or_else(|| wrong_type(&place, expected, value))?;
        let open = |item: &'t Spanned<DeValue<'t>>| {
            let table =
                item.get_ref().as_table().ok_or_else(|| wrong_type(&place, expected, item.get_ref()))?;
            Table::open(self.source, section, table, item.span().start)
        };
        items.iter().map(open).collect()
    }

    fn offset(&self, key: &str) -> usize {
        self.table.get(key).map_or(0, |value| value.span().start)
    }
}

fn wrong_type(place: &Place, expected: &'static str, found: &DeValue<'_>) -> ConfigError {
    let found = match found {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    };
    ConfigError::Value { place: place.clone(), source: ValueError::Type { expected, found } }
}
