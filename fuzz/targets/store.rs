//! The loader of the configuration store (`src/store`): rows of all types and values, and a database file with wrong bytes. Nothing
//! panics; what is taken survives storing.
#![no_main]
use std::path::Path;
use std::sync::LazyLock;
use stmf::store::{Change, GroupTable, LuRow, Store, ViewRow};
use stmf::types::{DevId, GroupName, Guid, Lun};

/// Tables, and how many columns each has.
const TABLES: [(&str, usize); 8] = [
    ("lu", 3),
    ("view", 5),
    ("grp", 3),
    ("member", 3),
    ("provider", 4),
    ("setting", 2),
    ("port", 2),
    ("token", 1),
];

/// A database that is in order.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = temporary("good");
    let name = GroupName::new(b"group").expect("a name");
    let group = GroupTable::Host;
    Store::open(&directory)
        .and_then(|store| {
            store.commit(&[
                Change::PutLu(LuRow { guid: Guid([1; 16]), path: "/disk".into(), standby: false }),
                Change::PutGroup { table: group, name: name.clone() },
                Change::PutMember { table: group, name: name.clone(), member: DevId::new(b"iqn.x").expect("an id") },
                Change::PutView(ViewRow {
                    guid: Guid([1; 16]),
                    index: 0,
                    host_group: Some(name),
                    target_group: None,
                    lun: Lun::new(3).expect("a LUN"),
                }),
                Change::PutSetting { key: "k".into(), value: "v".into() },
            ])
        })
        .expect("a new store");
    let bytes = std::fs::read(directory.join(Store::DATABASE)).expect("it is there");
    std::fs::remove_dir_all(directory).expect("it is there");
    bytes
});

/// In memory, where there is such a place: each input has files of its own.
fn temporary(name: &str) -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let directory = base.join(format!("stmf-fuzz-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// The wrong bytes: two for the place, one to be written there.
fn damage(patches: &[u8]) {
    let mut bytes = GOOD.clone();
    for patch in patches.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([patch[0], patch[1]])) % bytes.len();
        bytes[at] = patch[2];
    }
    let directory = temporary("damaged");
    let path = directory.join(Store::DATABASE);
    std::fs::write(&path, bytes).expect("it can be written");
    stmf::store::fuzz_damage(&path);
    std::fs::remove_dir_all(directory).expect("it is there");
}

/// A value: its type, and for texts and blobs a length and the bytes.
fn value(bytes: &mut std::slice::Iter<'_, u8>) -> rusqlite::types::Value {
    use rusqlite::types::Value;
    let mut next = || bytes.next().copied().unwrap_or(0);
    match next() % 6 {
        0 => Value::Null,
        1 => Value::Integer(i64::from(next())),
        2 => Value::Integer(i64::from_be_bytes(std::array::from_fn(|_| next()))),
        3 => Value::Real(f64::from_be_bytes(std::array::from_fn(|_| next()))),
        4 => {
            let text: Vec<u8> = (0..next()).map(|_| next()).collect();
            Value::Text(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Value::Blob((0..next()).map(|_| next()).collect()),
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    if choice % 4 == 0 {
        return damage(bytes);
    }
    let mut rest = bytes.iter();
    let mut rows = Vec::new();
    while let Some(table) = rest.next() {
        let (table, columns) = TABLES[usize::from(*table) % TABLES.len()];
        rows.push((table, (0..columns).map(|_| value(&mut rest)).collect()));
    }
    stmf::store::fuzz_rows(&rows);
});
