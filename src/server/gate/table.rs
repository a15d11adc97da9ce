//! Values under small numbers that are used again: the keys by which the poller names sockets.

/// A table whose freed places are filled first.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    pub(super) fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(key) => {
                self.places[key] = Some(value);
                key
            }
            None => {
                self.places.push(Some(value));
                self.places.len() - 1
            }
        }
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.places.get_mut(key)?.as_mut()
    }

    pub(super) fn get(&self, key: usize) -> Option<&T> {
        self.places.get(key)?.as_ref()
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<T> {
        let value = self.places.get_mut(key)?.take()?;
        self.free.push(key);
        Some(value)
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// One more than the greatest key in use; for walks during which values come and go.
    pub(super) fn bound(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(key, place)| Some((key, place.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_key_is_used_again() {
        let mut table = Table::default();
        let (a, b) = (table.insert('a'), table.insert('b'));
        assert_eq!(table.remove(a), Some('a'));
        assert_eq!(table.remove(a), None);
        assert_eq!(table.insert('c'), a);
        assert_eq!(table.len(), 2);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(a, &'c'), (b, &'b')]);
        assert_eq!(table.get_mut(9), None);
    }
}
