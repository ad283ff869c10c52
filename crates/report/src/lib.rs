//! What people and programs read: tables, JSON lines, XML, CSV, HTML and diffs.
