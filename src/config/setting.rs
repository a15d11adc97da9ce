//! One row of the table of settings.

/// What is known about a setting beside its type.
#[derive(Debug)]
pub struct Setting {
    /// The name in the file: `db-schemas`.
    pub name: &'static str,
    /// Older names that count too.
    pub aliases: &'static [&'static str],
    /// The type, for people: `boolean`.
    pub kind: &'static str,
    /// The default as one would write it; empty for none.
    pub default: &'static str,
    /// A value that one might give it, where the default does not show what that looks like.
    pub example: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Whether a reload applies a new value; otherwise a restart is needed.
    pub reloadable: bool,
    /// Whether the database may set it, as `pgrst.` and the name with underscores.
    pub in_database: bool,
    /// Whether an empty value means "empty" rather than "not set".
    pub may_be_empty: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Whether the API is open without it for what it is closed for with it. A reload in which
    /// no source says a word about it any more is refused.
    pub protective: bool,
    /// Whether it is goldenkey's own, unknown to PostgREST. Its numbers and booleans are
    /// read strictly, where PostgREST passes over those that do not parse.
    pub own: bool,
}

impl Setting {
    /// A row without marks; the table adds them with the functions below.
    pub(super) const fn new(
        name: &'static str,
        aliases: &'static [&'static str],
        kind: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Setting {
            name,
            aliases,
            kind,
            default,
            example: "",
            help,
            reloadable: false,
            in_database: false,
            may_be_empty: false,
            secret: false,
            protective: false,
            own: false,
        }
    }

    pub(super) const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    pub(super) const fn reloadable(mut self) -> Self {
        self.reloadable = true;
        self
    }

    pub(super) const fn in_database(mut self) -> Self {
        self.in_database = true;
        self
    }

    pub(super) const fn may_be_empty(mut self) -> Self {
        self.may_be_empty = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn protective(mut self) -> Self {
        self.protective = true;
        self
    }

    pub(super) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// The name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The environment variable: `PGRST_DB_SCHEMAS`.
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// The name in the database without `pgrst.`: `db_schemas`.
    pub fn database_name(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// The environment variable of a setting's name or alias.
pub(super) fn variable(name: &str) -> String {
    format!("PGRST_{}", name.replace('-', "_").to_ascii_uppercase())
}
