//! What filters keep from one phase to a later one: few small typed values, keyed by plugin.
use std::any::Any;

/// Values kept by filters during one request; nothing is allocated until a filter keeps something.
#[derive(Default)]
pub struct Scratch {
    slots: Vec<(u32, Box<dyn Any + Send>)>,
}

impl Scratch {
    /// Keeps a value under a plugin, in place of an older one of the same type.
    pub fn put<T: Any + Send>(&mut self, plugin: u32, value: T) {
        match self.get_mut::<T>(plugin) {
            Some(slot) => *slot = value,
            None => self.slots.push((plugin, Box::new(value))),
        }
    }

    /// The value of this type under a plugin.
    pub fn get<T: Any + Send>(&self, plugin: u32) -> Option<&T> {
        self.slots
            .iter()
            .filter(|(key, _)| *key == plugin)
            .find_map(|(_, value)| value.downcast_ref())
    }

    /// The same, to change it.
    pub fn get_mut<T: Any + Send>(&mut self, plugin: u32) -> Option<&mut T> {
        self.slots
            .iter_mut()
            .filter(|(key, _)| *key == plugin)
            .find_map(|(_, value)| value.downcast_mut())
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scratch({})", self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_by_plugin_and_type() {
        let mut scratch = Scratch::default();
        scratch.put(1, 7_u32);
        scratch.put(1, "text");
        scratch.put(2, 8_u32);
        scratch.put(1, 9_u32);
        assert_eq!(scratch.get::<u32>(1), Some(&9));
        assert_eq!(scratch.get::<u32>(2), Some(&8));
        assert_eq!(scratch.get::<&str>(1), Some(&"text"));
        assert_eq!(scratch.get::<u64>(1), None);
    }
}
