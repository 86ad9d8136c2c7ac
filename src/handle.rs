//! What all handles have in common: they are copied freely, and are equal when they name the same thing by their key.
//!
//! Deriving would ask the same of the protocol, of which a handle has no value.

/// For a handle with a `key`.
macro_rules! handle {
    ($name:ident) => {
        impl<P> Clone for $name<P> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<P> Copy for $name<P> {}

        /// Handles are equal when they name the same.
        impl<P> PartialEq for $name<P> {
            fn eq(&self, other: &Self) -> bool {
                self.key == other.key
            }
        }

        impl<P> Eq for $name<P> {}

        impl<P> std::hash::Hash for $name<P> {
            fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
                self.key.hash(hasher);
            }
        }
    };
}
pub(crate) use handle;
