//! Where what is known by an id is: items, and batches of a session.

use super::failure::Failure;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Of items.
pub(super) const ITEM: i64 = 0;

/// Spreads what differs in a few bits.
const MIXER: u64 = 0xff51_afd7_ed55_8ccd;

/// The row under which a name is kept. It begins with the time that an id of version 7 begins with, up to
/// the millisecond: names that are made one after the other go to the end of their table, whose pages
/// stay full. The rest is what else tells ids and scopes apart, mixed.
fn key(uid: &[u8; 16], scope: i64) -> i64 {
    const MIXED: u32 = 23;
    let number = u128::from_be_bytes(*uid);
    let (high, low) = ((number >> 64) as u64, number as u64);
    let mixed = (high.rotate_left(31) ^ low ^ scope.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(MIXER)
        >> (64 - MIXED);
    // Its first 7 bits are 0 for some thousand years; what they say in other ids is in the rest.
    let time = high << 7 >> MIXED << MIXED;
    (time | mixed).cast_signed()
}

/// The piece of that name.
pub(super) fn find(conn: &Connection, uid: &[u8; 16], scope: i64) -> Result<Option<i64>, Failure> {
    let key = key(uid, scope);
    let mut find =
        conn.prepare_cached("SELECT uid = ?2 AND scope = ?3, piece FROM name WHERE \"key\" = ?1")?;
    let row = find.query_row(params![key, uid, scope], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match row {
        None => Ok(None),
        Some((true, piece)) => Ok(Some(piece)),
        Some((false, _)) => {
            let sql = "SELECT piece FROM name_twin WHERE \"key\" = ?1 AND uid = ?2 AND scope = ?3";
            let mut find = conn.prepare_cached(sql)?;
            Ok(find.query_row(params![key, uid, scope], |row| row.get(0)).optional()?)
        }
    }
}

/// Names a piece; gives back the one that has the name already.
pub(super) fn put(conn: &Connection, uid: &[u8; 16], scope: i64, piece: i64) -> Result<Option<i64>, Failure> {
    let key = key(uid, scope);
    let sql = "INSERT INTO name (\"key\", uid, scope, piece) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (\"key\") DO NOTHING";
    if conn.prepare_cached(sql)?.execute(params![key, uid, scope, piece])? > 0 {
        return Ok(None);
    }
    if let Some(there) = find(conn, uid, scope)? {
        return Ok(Some(there));
    }
    let sql = "INSERT INTO name_twin (\"key\", uid, scope, piece) VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(params![key, uid, scope, piece])?;
    Ok(None)
}

/// Removes the names that `which` selects, as a condition on the columns of `name`. A twin takes the place
/// of one that goes, so that there are twins only of what is there.
pub(super) fn remove(conn: &Connection, which: &str) -> Result<(), Failure> {
    conn.execute(&format!("DELETE FROM name_twin WHERE {which}"), [])?;
    conn.execute(&format!("DELETE FROM name WHERE {which}"), [])?;
    conn.execute_batch(
        "INSERT INTO name (\"key\", uid, scope, piece)
         SELECT \"key\", uid, scope, piece FROM name_twin WHERE \"key\" NOT IN (SELECT \"key\" FROM name)
         GROUP BY \"key\";
         DELETE FROM name_twin WHERE EXISTS (
             SELECT 1 FROM name
             WHERE name.\"key\" = name_twin.\"key\" AND name.uid = name_twin.uid AND name.scope = name_twin.scope)",
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("schema.sql")).unwrap();
        conn
    }

    fn count(conn: &Connection, table: &str) -> i64 {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// Some ids of one millisecond and one key: what `key` multiplies, divided again.
    fn twins() -> [[u8; 16]; 3] {
        let inverse = (0..6).fold(MIXER, |inverse: u64, _| {
            inverse.wrapping_mul(2_u64.wrapping_sub(MIXER.wrapping_mul(inverse)))
        });
        let high = 0x0199_0000_0000_7000_u64;
        let twins = [1_u64, 2, 3].map(|product| {
            let low = product.wrapping_mul(inverse) ^ high.rotate_left(31);
            (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
        });
        assert!(twins.iter().all(|twin| key(twin, ITEM) == key(&twins[0], ITEM)));
        twins
    }

    #[test]
    fn names_of_one_key_are_told_apart_and_found_whichever_goes() {
        for gone in 0..3 {
            let (conn, twins) = (store(), twins());
            for (piece, uid) in (1..).zip(&twins) {
                assert_eq!(put(&conn, uid, ITEM, piece).unwrap(), None);
                assert_eq!(put(&conn, uid, ITEM, 99).unwrap(), Some(piece));
            }
            assert_eq!((count(&conn, "name"), count(&conn, "name_twin")), (1, 2));
            remove(&conn, &format!("piece = {}", gone + 1)).unwrap();
            assert_eq!((count(&conn, "name"), count(&conn, "name_twin")), (1, 1));
            for (index, uid) in twins.iter().enumerate() {
                let expected = (index != gone).then_some(index as i64 + 1);
                assert_eq!(find(&conn, uid, ITEM).unwrap(), expected);
            }
            assert_eq!(put(&conn, &twins[gone], ITEM, 7).unwrap(), None);
            assert_eq!(find(&conn, &twins[gone], ITEM).unwrap(), Some(7));
        }
    }

    #[test]
    fn later_ids_have_greater_keys_and_scopes_differ() {
        let at = |ms: u64| u128::from(ms) << 80 | 7 << 76 | 0xabc << 64 | 0x1234_5678;
        let keys: Vec<i64> = [1_800_000_000_000, 1_800_000_000_001, 1_900_000_000_000]
            .map(|ms| key(&at(ms).to_be_bytes(), ITEM))
            .to_vec();
        assert!(keys.is_sorted(), "{keys:?}");
        let uid = at(1_800_000_000_000).to_be_bytes();
        assert_ne!(key(&uid, 1), key(&uid, 2));
    }
}
