//! Which format a file of SQLite has.

use rusqlite::{Connection, Transaction};

use super::StoreError;

/// Checks that a file has `format`; a new one is given it, with what `make` puts into it, in one transaction.
///
/// # Errors
/// It has another format, or can not be read or written.
pub(crate) fn check_or_make(
    connection: &mut Connection,
    format: i64,
    make: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            let transaction = connection.transaction()?;
            make(&transaction)?;
            transaction.pragma_update(None, "user_version", format)?;
            Ok(transaction.commit()?)
        }
        found if found == format => Ok(()),
        found => Err(StoreError::Format { found, expected: format }),
    }
}
