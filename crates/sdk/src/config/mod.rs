//! Configuration: a field is one constant, and that constant is both the declaration (form, stored
//! JSON, docs, checks) and the only way to read the value. No key is read by its name.
//! Facts: service sheet §6, protocol sheet §6.

mod declaration;
mod field;
mod values;

pub use declaration::{Choice, Declaration, Dependency, Plain, Validation};
pub use field::{AnyField, Field, Read};
pub use values::{Configuration, SourceOptions, Values};
