//! The published schema of the JSON lines.

use crate::jsonl::Record;

/// The JSON Schema (2020-12) of one line, as text that ends in a newline. It is also kept in
/// `docs/jsonl.schema.json`.
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Record);
    schema.insert("title".to_owned(), "Portolan JSON lines, version 1".into());
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is made of JSON");
    text.push('\n');
    text
}
