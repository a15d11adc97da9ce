//! Reads what presents values in a way of its own: domain representations and media type
//! handlers.

use super::rows::for_each_row;
use crate::schema::{MediaHandler, QualifiedName, Representations};
use postgres::{Error, Transaction};
use std::collections::{HashMap, HashSet};

/// The media type of a handler that serves any of them.
const ANY_MEDIA_TYPE: &str = "*/*";

/// Reads the casts between domains and json or text.
pub(super) fn read_representations(
    transaction: &mut Transaction<'_>,
) -> Result<Representations, Error> {
    let mut representations = Representations::default();
    let sql = include_str!("../../../sql/catalog/representations.sql");
    for_each_row(transaction, sql, None, |mut cells| {
        let (source, target): (&str, &str) = (cells.take()?, cells.take()?);
        let (casts, domain) = match (source, target) {
            ("json", domain) => (&mut representations.from_json, domain),
            ("text", domain) => (&mut representations.from_text, domain),
            (domain, "json") => (&mut representations.to_json, domain),
            // To text: nothing is asked in that direction.
            _ => return Ok(()),
        };
        let function = QualifiedName { schema: cells.text()?, name: cells.text()? };
        casts.insert(domain.into(), function);
        Ok(())
    })?;
    Ok(representations)
}

/// Reads the domains whose values are bodies that are not text.
pub(super) fn read_binary_domains(
    transaction: &mut Transaction<'_>,
) -> Result<HashSet<QualifiedName>, Error> {
    let mut domains = HashSet::new();
    let sql = include_str!("../../../sql/catalog/binary_domains.sql");
    for_each_row(transaction, sql, None, |mut cells| {
        domains.insert(QualifiedName { schema: cells.text()?, name: cells.text()? });
        Ok(())
    })?;
    Ok(domains)
}

/// Reads the aggregates that serve a media type, by media type.
pub(super) fn read_media_handlers(
    transaction: &mut Transaction<'_>,
    schemas: &[String],
) -> Result<HashMap<Box<str>, Vec<MediaHandler>>, Error> {
    let mut handlers: HashMap<Box<str>, Vec<MediaHandler>> = HashMap::new();
    let sql = include_str!("../../../sql/catalog/media_handlers.sql");
    for_each_row(transaction, sql, Some(schemas), |mut cells| {
        let media_type = cells.text()?;
        let function = QualifiedName { schema: cells.text()?, name: cells.text()? };
        let (schema, name): (Option<&str>, Option<&str>) = (cells.take()?, cells.take()?);
        let target = schema.zip(name).map(|(schema, name)| QualifiedName::new(schema, name));
        let binary = cells.take()?;
        let any_media_type = &*media_type == ANY_MEDIA_TYPE;
        let of_type = handlers.entry(media_type).or_default();
        // The newest counts when two serve the same rows.
        of_type.retain(|other| other.target != target);
        of_type.push(MediaHandler { target, function, any_media_type, binary });
        Ok(())
    })?;
    Ok(handlers)
}
