//! Reads the functions that can be called.

use super::LoadOptions;
use super::rows::{Cells, for_each_row};
use crate::schema::{
    IsolationLevel, Parameter, QualifiedName, ReturnType, Returned, Routine, Volatility,
};
use postgres::{Error, Transaction};

/// The setting that chooses how a function's transaction begins, so that it is no `SET`.
const ISOLATION: &str = "default_transaction_isolation";

/// A setting's name and value.
type Setting = (Box<str>, Box<str>);

/// Reads the functions of the exposed schemas, oldest first.
pub(super) fn read(
    transaction: &mut Transaction<'_>,
    options: &LoadOptions<'_>,
) -> Result<Vec<Routine>, Error> {
    let mut routines = Vec::new();
    let sql = include_str!("../../../sql/catalog/routines.sql");
    for_each_row(transaction, sql, Some(options.schemas), |mut cells| {
        routines.push(routine(&mut cells, options.hoisted_settings)?);
        Ok(())
    })?;
    Ok(routines)
}

fn routine(cells: &mut Cells<'_>, hoisted: &[String]) -> Result<Routine, Error> {
    let name = QualifiedName { schema: cells.text()?, name: cells.text()? };
    let description = cells.take()?;
    let volatility = match cells.take::<&str>()? {
        "i" => Volatility::Immutable,
        "s" => Volatility::Stable,
        _ => Volatility::Volatile,
    };
    let returns = ReturnType { is_set: cells.take()?, returned: returned(cells)? };
    let (names, types, cast_types) = (cells.take()?, cells.take()?, cells.take()?);
    let defaults: i16 = cells.take()?;
    let variadic = cells.take()?;
    let config: Vec<&str> = cells.take()?;
    let (isolation, settings) = settings(&config, hoisted);
    Ok(Routine {
        name,
        description,
        parameters: parameters(names, types, cast_types, defaults, variadic),
        returns,
        volatility,
        variadic,
        isolation,
        settings,
    })
}

fn returned(cells: &mut Cells<'_>) -> Result<Returned, Error> {
    let shape: &str = cells.take()?;
    let name = QualifiedName { schema: cells.text()?, name: cells.text()? };
    Ok(match shape {
        "void" => Returned::Void,
        "composite" => Returned::Composite(Some(name)),
        "record" => Returned::Composite(None),
        _ => Returned::Scalar(name),
    })
}

/// The input parameters; the last `defaults` of them have defaults, and the last of all may
/// be variadic.
fn parameters(
    names: Vec<&str>,
    types: Vec<&str>,
    cast_types: Vec<&str>,
    defaults: i16,
    variadic: bool,
) -> Vec<Parameter> {
    let count = names.len();
    let required = count.saturating_sub(usize::from(defaults.unsigned_abs()));
    let described = names.into_iter().zip(types).zip(cast_types).enumerate();
    described
        .map(|(i, ((name, data_type), cast_type))| Parameter {
            name: name.into(),
            data_type: data_type.into(),
            cast_type: cast_type.into(),
            required: i < required,
            variadic: variadic && i + 1 == count,
        })
        .collect()
}

/// The isolation level among a function's own settings (`name=value`), and those that are to
/// be set for its whole transaction.
fn settings(config: &[&str], hoisted: &[String]) -> (Option<IsolationLevel>, Vec<Setting>) {
    let mut isolation = None;
    let mut settings = Vec::new();
    for (name, value) in config.iter().filter_map(|setting| setting.split_once('=')) {
        if name == ISOLATION {
            isolation = IsolationLevel::from_setting(value);
        } else if hoisted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) {
            settings.push((name.into(), value.into()));
        }
    }
    (isolation, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parameters_have_defaults() {
        let found =
            parameters(vec!["a", "b"], vec!["text", "bit"], vec!["text", "bit varying"], 1, false);
        assert_eq!(found.iter().map(|p| p.required).collect::<Vec<_>>(), [true, false]);
        assert_eq!(&*found[1].cast_type, "bit varying");
    }

    #[test]
    fn only_the_last_parameter_is_variadic() {
        let found =
            parameters(vec!["a", "b"], vec!["text", "text[]"], vec!["text", "text[]"], 0, true);
        assert_eq!(found.iter().map(|p| p.variadic).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn settings_are_kept_only_when_hoisted_and_isolation_stands_apart() {
        let config = [
            "statement_timeout=7s",
            "work_mem=3MB",
            "TimeZone=UTC",
            "default_transaction_isolation=serializable",
        ];
        let hoisted = ["statement_timeout", "timezone"].map(String::from);
        let (isolation, kept) = settings(&config, &hoisted);
        assert_eq!(isolation, Some(IsolationLevel::Serializable));
        let kept: Vec<_> = kept.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(kept, [("statement_timeout", "7s"), ("TimeZone", "UTC")]);
    }
}
