//! The mappings that a service has: those built in, and files.

use std::sync::Arc;

use super::{Mapping, MappingFile, UnknownMapping};

/// Two files call themselves the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two mapping files are called {0}; raise the version of the newer one")]
pub struct NameTaken(pub String);

/// Every mapping that records may name.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    files: Vec<Arc<MappingFile>>,
}

impl Mappings {
    /// Adds a file. The same file twice is one.
    ///
    /// # Errors
    /// Another one has its name and version.
    pub fn add(&mut self, file: MappingFile) -> Result<(), NameTaken> {
        match self.files.iter().find(|known| known.name() == file.name()) {
            Some(known) if **known == file => Ok(()),
            Some(_) => Err(NameTaken(file.name().to_owned())),
            None => {
                self.files.push(Arc::new(file));
                Ok(())
            }
        }
    }

    /// The mapping `NAME@VERSION`; for `NAME` its newest version.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn find(&self, name: &str) -> Result<Mapping, UnknownMapping> {
        let all = || Mapping::ALL.into_iter().chain(self.files.iter().cloned().map(Mapping::File));
        if let Some(exact) = all().find(|mapping| mapping.name() == name) {
            return Ok(exact);
        }
        let version = |mapping: &Mapping| {
            let (stem, version) = mapping.name().split_once('@')?;
            (stem == name).then(|| version.parse::<u32>().unwrap_or(0))
        };
        let newest =
            all().filter(|mapping| version(mapping).is_some()).max_by_key(|mapping| version(mapping));
        newest.ok_or_else(|| UnknownMapping {
            name: name.to_owned(),
            known: all().map(|mapping| mapping.name().to_owned()).collect(),
        })
    }
}
