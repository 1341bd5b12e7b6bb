//! All the definitions there are: the bundled ones, and the user's, which win by name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Definition, Error, bundled::BUNDLED, suggest};

/// Definitions by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    definitions: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    definition: Arc<Definition>,
    file: Option<PathBuf>,
}

/// A definition that could not be loaded. The others were.
#[derive(Debug)]
pub struct Problem {
    /// Its file; none: a bundled one.
    pub file: Option<PathBuf>,
    /// Why.
    pub error: Error,
}

/// Largest definition that is read.
const MAX_FILE: u64 = 256 * 1024;

impl Registry {
    /// The bundled definitions, then those of `user_dir`: its files that end in `.toml`, `.json` or
    /// `.jsonc`. A directory that is not there is an empty one.
    #[must_use]
    pub fn load(user_dir: Option<&Path>) -> (Self, Vec<Problem>) {
        let mut registry = Self::default();
        let mut problems = Vec::new();
        for (name, text) in BUNDLED {
            match Definition::parse_toml(text, &format!("{name}.toml")) {
                Ok(definition) => registry.insert(definition, None),
                Err(error) => problems.push(Problem { file: None, error }),
            }
        }
        if let Some(directory) = user_dir {
            registry.load_directory(directory, &mut problems);
        }
        (registry, problems)
    }

    /// The definition of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name).map(|entry| &entry.definition)
    }

    /// The user's file that a definition was read from; none for a bundled one.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Path> {
        self.definitions.get(name)?.file.as_deref()
    }

    /// All definitions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values().map(|entry| &entry.definition)
    }

    /// The name that may have been meant by one that is not there.
    #[must_use]
    pub fn closest(&self, name: &str) -> Option<&str> {
        suggest::closest(name, self.definitions.keys().map(String::as_str))
    }

    fn insert(&mut self, definition: Definition, file: Option<PathBuf>) {
        let entry = Entry { definition: Arc::new(definition), file };
        self.definitions.insert(entry.definition.name.clone(), entry);
    }

    fn load_directory(&mut self, directory: &Path, problems: &mut Vec<Problem>) {
        let files = match definition_files(directory) {
            Ok(files) => files,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return,
            Err(source) => {
                let error = Error::Read { path: directory.to_owned(), source };
                return problems.push(Problem { file: Some(directory.to_owned()), error });
            }
        };
        for file in files {
            let definition = match read(&file) {
                Ok(definition) => definition,
                Err(error) => {
                    problems.push(Problem { file: Some(file), error });
                    continue;
                }
            };
            if let Some(first) = self.file(&definition.name) {
                let error = Error::Key {
                    origin: file.display().to_string(),
                    line: None,
                    key: "name".to_owned(),
                    problem: format!("is that of {} too", first.display()),
                    hint: Some("remove or rename one of the two".to_owned()),
                };
                problems.push(Problem { file: Some(file), error });
                continue;
            }
            self.insert(definition, Some(file));
        }
    }
}

/// Sorted, so that the same file wins every time.
fn definition_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("toml" | "json" | "jsonc")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Definition, Error> {
    let unreadable = |source| Error::Read { path: file.to_owned(), source };
    let metadata = fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(unreadable(std::io::Error::other("no regular file of at most 256 KiB")));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let origin = file.display().to_string();
    if file.extension().is_some_and(|extension| extension == "toml") {
        Definition::parse_toml(&text, &origin)
    } else {
        Definition::parse_json(&text, &origin)
    }
}
