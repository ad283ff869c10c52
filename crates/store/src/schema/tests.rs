use std::fmt::Write as _;

use super::*;

fn made(steps: &'static [M<'static>]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    migrate(&mut Connection::open(&path).unwrap(), &path, steps).unwrap();
    (dir, path)
}

#[test]
fn a_database_is_copied_before_its_schema_changes() {
    static OLD: &[M<'static>] = &[M::up(
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7)",
    )];
    static NEW: &[M<'static>] = &[
        M::up("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7)"),
        M::up("UPDATE a SET x = 8"),
    ];
    let (dir, path) = made(OLD);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    migrate(&mut Connection::open(&path).unwrap(), &path, NEW).unwrap();
    let value = |path: &Path| {
        Connection::open(path)
            .unwrap()
            .query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(value(&path), 8);
    assert_eq!(value(&dir.path().join("history.db.schema-1.bak")), 7);
}

#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let (_dir, path) = made(STEPS);
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = migrate(&mut connection, &path, STEPS).unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }));
    assert!(error.to_string().contains("schema 99"));
    assert!(error.hint().is_some());
    assert_eq!(version(&connection).unwrap(), 99);
}

#[test]
fn every_step_can_be_taken() {
    Migrations::from_slice(STEPS).validate().unwrap();
}

/// The tables in words, from the comments in the steps that make them.
fn schema_in_words() -> String {
    let (_dir, path) = made(STEPS);
    let connection = Connection::open(&path).unwrap();
    let mut text = format!(
        "# The history's tables\n\n\
         The history is the SQLite file `history.db` in the data directory; its `user_version` is \
         {}. Other programs may read it while Portolan runs. Times are microseconds since \
         1970-01-01 UTC, spans are microseconds. An address is one byte for its family, 4 or 6, and \
         its octets in network order, so that addresses sort as numbers do; after a link-local one the \
         name of its interface.\n\n\
         This page is made from the comments in `crates/store/src/migrations`; a test compares the \
         two, and writes the page anew with `PORTOLAN_BLESS=1`.\n",
        STEPS.len()
    );
    let mut tables = connection
        .prepare(
            "SELECT name, sql FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
        )
        .unwrap();
    let tables: Vec<(String, String)> = tables
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(|table| table.unwrap())
        .collect();
    let source = concat!(
        include_str!("../migrations/0001-history.sql"),
        include_str!("../migrations/0002-course-and-messages.sql"),
        include_str!("../migrations/0003-mac.sql"),
        include_str!("../migrations/0004-zones.sql"),
        include_str!("../migrations/0005-parts.sql"),
        include_str!("../migrations/0006-tags.sql"),
        include_str!("../migrations/0007-cut-off.sql"),
        include_str!("../migrations/0008-phase.sql"),
    );
    for (table, sql) in tables {
        let (before, _) = source
            .split_once(&format!("CREATE TABLE {table} ("))
            .unwrap();
        let about = before.trim_end().lines().last().unwrap();
        let about = about.strip_prefix("-- ").expect("a table has a comment");
        writeln!(text, "\n## `{table}`\n\n{about}\n").unwrap();
        writeln!(
            text,
            "| column | type | what it holds |\n| --- | --- | --- |"
        )
        .unwrap();
        let mut columns = connection
            .prepare("SELECT name, type FROM pragma_table_info(?1)")
            .unwrap();
        let columns = columns
            .query_map([&table], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .unwrap();
        for column in columns {
            let (column, kind) = column.unwrap();
            let made = format!("{column} {kind}");
            let added = format!("ALTER TABLE {table} ADD COLUMN {column} {kind};");
            let line = sql
                .lines()
                .filter(|line| line.contains("-- "))
                .find(|line| line.trim_start().starts_with(&made))
                .or_else(|| source.lines().find(|line| line.starts_with(&added)))
                .unwrap();
            let about = line.split_once("-- ").expect("a column has a comment").1;
            writeln!(text, "| `{column}` | {kind} | {about} |").unwrap();
        }
    }
    text
}

#[test]
fn the_documented_schema_is_the_one_there_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema.md");
    let expected = schema_in_words();
    if std::env::var_os("PORTOLAN_BLESS").is_some() {
        std::fs::write(&page, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&page).unwrap(), expected);
}
