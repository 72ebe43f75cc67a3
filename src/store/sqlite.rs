//! The database file: schema, versions, statements.

use super::{Change, GroupTable, LuRow, ProviderRow, Snapshot, StoreError, ViewRow};
use crate::types::{DevId, GroupName, Guid, Lun};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Version of the schema in `PRAGMA user_version`.
/// - 1: first version.
pub const SCHEMA_VERSION: i64 = 1;

/// Groups and members keep their order of creation through the rowid.
const SCHEMA: &str = "
CREATE TABLE lu (guid BLOB PRIMARY KEY, path TEXT NOT NULL, standby INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE view (guid BLOB NOT NULL, idx INTEGER NOT NULL, host_group TEXT, target_group TEXT, lun INTEGER NOT NULL,
    PRIMARY KEY (guid, idx)) WITHOUT ROWID;
CREATE TABLE grp (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name));
CREATE TABLE member (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL REFERENCES grp (id) ON DELETE CASCADE, devid BLOB NOT NULL,
    UNIQUE (grp, devid));
CREATE TABLE provider (name TEXT NOT NULL, kind INTEGER NOT NULL, token INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (name, kind));
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE port (devid BLOB PRIMARY KEY, rtpid INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE token (last INTEGER NOT NULL);
INSERT INTO token VALUES (0);
";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Failed(error.to_string())
    }
}

/// Opens the file, creates the schema in a new one, refuses another version.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    private(path).map_err(|error| StoreError::Failed(error.to_string()))?;
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.set_prepared_statement_cache_capacity(64);
    let transaction = db.transaction()?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0i64 => {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        SCHEMA_VERSION => {}
        other => return Err(StoreError::Version(other)),
    }
    transaction.commit()?;
    Ok(db)
}

/// The file holds secrets: it is its owner's alone. SQLite gives its journal files the mode of the database.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    let file = options.append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// One transaction.
pub(super) fn commit(db: &mut Connection, changes: &[Change]) -> Result<(), StoreError> {
    let transaction = db.transaction()?;
    for change in changes {
        apply(&transaction, change)?;
    }
    Ok(transaction.commit()?)
}

/// A transaction whose last sync failed is in the log, where a restart would find and believe it. One more over it makes it
/// void; if the disk does not take that either, the next change does it.
pub(super) fn void_failed_commit(db: &Connection) {
    // The version of the schema stays; the page that holds it is written.
    let version = db.pragma_update(None, "user_version", SCHEMA_VERSION);
    if let Err(error) = version {
        log::debug!("configuration store: after a failed transaction: {error}");
    }
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values).map(drop);
    match change {
        Change::PutLu(lu) => run(
            "INSERT OR REPLACE INTO lu VALUES (?, ?, ?)",
            params![lu.guid.0, lu.path, lu.standby],
        ),
        Change::RemoveLu(guid) => run("DELETE FROM lu WHERE guid = ?", params![guid.0]),
        Change::RemoveAllLus => run("DELETE FROM lu", params![]),
        Change::PutView(view) => run(
            "INSERT OR REPLACE INTO view VALUES (?, ?, ?, ?, ?)",
            params![
                view.guid.0,
                view.index,
                view.host_group.as_ref().map(GroupName::as_str),
                view.target_group.as_ref().map(GroupName::as_str),
                view.lun.get()
            ],
        ),
        Change::RemoveView { guid, index } => {
            run("DELETE FROM view WHERE guid = ? AND idx = ?", params![guid.0, index])
        }
        Change::PutGroup { table, name } => run(
            "INSERT INTO grp (kind, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
            params![*table as u8, name.as_str()],
        ),
        Change::RemoveGroup { table, name } => run(
            "DELETE FROM grp WHERE kind = ? AND name = ?",
            params![*table as u8, name.as_str()],
        ),
        Change::PutMember { table, name, member } => run(
            "INSERT INTO member (grp, devid) SELECT id, ? FROM grp WHERE kind = ? AND name = ?",
            params![member.as_bytes(), *table as u8, name.as_str()],
        ),
        Change::RemoveMember { table, name, member } => run(
            "DELETE FROM member WHERE devid = ? AND grp = (SELECT id FROM grp WHERE kind = ? AND name = ?)",
            params![member.as_bytes(), *table as u8, name.as_str()],
        ),
        Change::PutProvider(row) => {
            use_token(transaction, row.token)?;
            run(
                "INSERT OR REPLACE INTO provider VALUES (?, ?, ?, ?)",
                params![row.name, row.kind, row.token.cast_signed(), row.data],
            )
        }
        Change::UseToken(token) => use_token(transaction, *token),
        Change::RemoveProvider { name, kind } => {
            run("DELETE FROM provider WHERE name = ? AND kind = ?", params![name, kind])
        }
        Change::PutSetting { key, value } => run("INSERT OR REPLACE INTO setting VALUES (?, ?)", params![key, value]),
        Change::RemoveSetting { key } => run("DELETE FROM setting WHERE key = ?", params![key]),
        Change::PutPort { devid, rtpid } => run(
            "INSERT OR REPLACE INTO port VALUES (?, ?)",
            params![devid.as_bytes(), rtpid],
        ),
        Change::RemovePort { devid } => run("DELETE FROM port WHERE devid = ?", params![devid.as_bytes()]),
    }
}

fn use_token(transaction: &Transaction<'_>, token: u64) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("UPDATE token SET last = max(last, ?)")?;
    statement.execute([token.cast_signed()]).map(drop)
}

pub(super) fn last_token(db: &Connection) -> Result<u64, StoreError> {
    let last: i64 = db.query_row("SELECT last FROM token", [], |row| row.get(0))?;
    Ok(last.cast_unsigned())
}

/// Reads everything. A row that makes no sense is logged and left in the file untouched (`libstmf-api.md` 8, item 11).
pub(super) fn load(db: &Connection) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        lus: rows(db, "SELECT guid, path, standby FROM lu ORDER BY guid", |row| {
            Ok(Some(LuRow {
                guid: Guid(row.get(0)?),
                path: row.get(1)?,
                standby: row.get(2)?,
            }))
        })?,
        views: rows(
            db,
            "SELECT guid, idx, host_group, target_group, lun FROM view ORDER BY guid, idx",
            |row| {
                let group = |text: Option<String>| text.map(|t| GroupName::new(t.as_bytes())).transpose();
                let (Ok(host_group), Ok(target_group), Some(lun)) =
                    (group(row.get(2)?), group(row.get(3)?), Lun::new(row.get(4)?))
                else {
                    return Ok(None);
                };
                Ok(Some(ViewRow {
                    guid: Guid(row.get(0)?),
                    index: row.get(1)?,
                    host_group,
                    target_group,
                    lun,
                }))
            },
        )?,
        groups: groups(db)?,
        providers: rows(
            db,
            "SELECT name, kind, token, data FROM provider ORDER BY kind, name",
            |row| {
                let token: i64 = row.get(2)?;
                Ok(Some(ProviderRow {
                    name: row.get(0)?,
                    kind: row.get(1)?,
                    token: token.cast_unsigned(),
                    data: row.get(3)?,
                }))
            },
        )?,
        settings: rows(db, "SELECT key, value FROM setting", |row| {
            Ok(Some((row.get(0)?, row.get(1)?)))
        })?,
        ports: rows(db, "SELECT devid, rtpid FROM port", |row| {
            Ok(DevId::new(row.get_ref(0)?.as_blob()?).ok().zip(Some(row.get(1)?)))
        })?,
    })
}

fn groups(db: &Connection) -> Result<Vec<(GroupTable, GroupName, Vec<DevId>)>, StoreError> {
    let heads = rows(db, "SELECT id, kind, name FROM grp ORDER BY id", |row| {
        let table = match row.get(1)? {
            0u8 => GroupTable::Host,
            1 => GroupTable::Target,
            _ => return Ok(None),
        };
        let name: String = row.get(2)?;
        let id: i64 = row.get(0)?;
        Ok(GroupName::new(name.as_bytes()).ok().map(|name| (id, table, name)))
    })?;
    heads
        .into_iter()
        .map(|(id, table, name)| {
            let sql = "SELECT devid FROM member WHERE grp = ? ORDER BY id";
            let list = rows_of(db, sql, [id], |row| Ok(DevId::new(row.get_ref(0)?.as_blob()?).ok()))?;
            Ok((table, name, list))
        })
        .collect()
}

/// All rows of a query; the closure gives `None` for one that is not valid.
fn rows<T>(
    db: &Connection,
    sql: &str,
    parse: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<Vec<T>, StoreError> {
    rows_of(db, sql, [], parse)
}

fn rows_of<T>(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    parse: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut good = Vec::new();
    let mut cursor = statement.query(parameters)?;
    while let Some(row) = cursor.next()? {
        match parse(row) {
            Ok(Some(value)) => good.push(value),
            Ok(None) => log::error!("configuration store: an invalid row of [{sql}] is ignored and kept"),
            Err(error) => log::error!("configuration store: a row of [{sql}] is ignored and kept: {error}"),
        }
    }
    Ok(good)
}

/// True when the file answers a whole-file check.
pub(super) fn intact(db: &Connection) -> Result<bool, StoreError> {
    let verdict: Option<String> = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).optional()?;
    Ok(verdict.as_deref() == Some("ok"))
}

/// For fuzzing: rows of all types and values in the columns of the schema. The loader takes what makes sense, and what it took is
/// stored and loaded the same way again.
#[cfg(any(test, fuzzing))]
pub fn fuzz_rows(rows: &[(&str, Vec<rusqlite::types::Value>)]) {
    let open = || {
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch(SCHEMA).expect("the schema");
        db
    };
    let db = open();
    for (table, values) in rows {
        let places = vec!["?"; values.len()].join(", ");
        // A table has its own opinion of types, keys and missing values.
        let _ = db.execute(
            &format!("INSERT INTO {table} VALUES ({places})"),
            rusqlite::params_from_iter(values),
        );
    }
    let snapshot = load(&db).expect("the tables are there");
    let mut changes = Vec::new();
    changes.extend(snapshot.lus.iter().cloned().map(Change::PutLu));
    changes.extend(snapshot.views.iter().cloned().map(Change::PutView));
    for (table, name, members) in &snapshot.groups {
        let (table, name) = (*table, name.clone());
        changes.push(Change::PutGroup {
            table,
            name: name.clone(),
        });
        changes.extend(members.iter().map(|member| Change::PutMember {
            table,
            name: name.clone(),
            member: member.clone(),
        }));
    }
    changes.extend(snapshot.providers.iter().cloned().map(Change::PutProvider));
    let settings = snapshot.settings.iter().cloned();
    changes.extend(settings.map(|(key, value)| Change::PutSetting { key, value }));
    let ports = snapshot.ports.iter().cloned();
    changes.extend(ports.map(|(devid, rtpid)| Change::PutPort { devid, rtpid }));
    let mut again = open();
    commit(&mut again, &changes).expect("they were stored before");
    assert_eq!(load(&again).expect("the tables are there"), snapshot);
}

/// For fuzzing: a database file of any bytes is opened and loaded, or refused.
#[cfg(any(test, fuzzing))]
pub fn fuzz_damage(path: &Path) {
    let loaded = open(path).and_then(|db| {
        let (intact, token) = (intact(&db)?, last_token(&db)?);
        Ok((intact, token, load(&db)?))
    });
    drop(loaded);
}
