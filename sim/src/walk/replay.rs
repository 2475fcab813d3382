//! Saved traces: a world and a list of choices. Each bug that a walk has found leaves one behind.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::laws::{Laws, Violation};
use crate::setup::Setup;
use crate::world::World;

/// A trace as it is saved.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// What it showed, for people.
    pub about: String,
    /// The world.
    pub setup: Setup,
    /// What happened.
    pub choices: Vec<Choice>,
}

impl Trace {
    /// Follows the trace until a law is broken or it ends.
    pub fn follow(&self, laws: Laws) -> Result<World, Violation> {
        let mut world = World::new(self.setup.clone(), laws);
        for choice in &self.choices {
            world.apply(*choice)?;
        }
        Ok(world)
    }

    /// Follows the trace and writes down what happens, in words.
    pub fn tell(&self, laws: Laws) -> Vec<String> {
        let mut world = World::new(self.setup.clone(), laws);
        world.journal = Some(Vec::new());
        let end = self.choices.iter().find_map(|choice| world.apply(*choice).err());
        let mut told = world.journal.take().unwrap_or_default();
        told.push(end.map_or_else(|| "no law was broken".to_owned(), |broken| broken.to_string()));
        told
    }

    /// Reads a trace from a file.
    pub fn load(path: &Path) -> std::io::Result<Trace> {
        let text = std::fs::read_to_string(path)?;
        serde_json::from_str(&text).map_err(std::io::Error::from)
    }

    /// Writes a trace to a file, one choice a line.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let setup = serde_json::to_string(&self.setup)?;
        let about = serde_json::to_string(&self.about)?;
        let mut lines = Vec::with_capacity(self.choices.len());
        for choice in &self.choices {
            lines.push(format!("  {}", serde_json::to_string(choice)?));
        }
        let choices = lines.join(",\n");
        let text =
            format!("{{\"about\": {about},\n\"setup\": {setup},\n\"choices\": [\n{choices}\n]}}\n");
        std::fs::write(path, text)
    }
}
