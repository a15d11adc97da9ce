//! Settings whose value is one of a few words.

use super::value::{Rejected, Value, write_text};

/// Declares an enum with the word of each variant and PostgREST's text for any other word.
macro_rules! choice {
    (
        $(#[$meta:meta])* $name:ident, $invalid:literal;
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl $name {
            /// The word in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word),+
                }
            }
        }

        impl Value for $name {
            const KIND: &'static str = concat!("one of" $(, " `", $word, "`")+);

            fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => {
                        let allowed: &[&str] = &[$($word),+];
                        Err(Rejected::invalid($invalid, allowed.join(", ")))
                    }
                }
            }

            fn write(&self, out: &mut String) {
                write_text(out, self.as_str());
            }
        }
    };
}

choice! {
    /// How much of an error a client sees.
    ErrorVerbosity, "Invalid client-error-verbosity. Check your configuration.";
    /// `code` and `message` only.
    Minimal = "minimal",
    /// Also `details` and `hint`.
    Verbose = "verbose",
}

choice! {
    /// How a request's transaction ends.
    TxEnd, "Invalid transaction termination. Check your configuration.";
    /// Committed.
    Commit = "commit",
    /// Committed, unless the request says `Prefer: tx=rollback`.
    CommitAllowOverride = "commit-allow-override",
    /// Rolled back.
    Rollback = "rollback",
    /// Rolled back, unless the request says `Prefer: tx=commit`.
    RollbackAllowOverride = "rollback-allow-override",
}

choice! {
    /// What is logged; each level adds to the ones before it.
    LogLevel, "Invalid logging level. Check your configuration.";
    /// Start, stop and the loss and recovery of the database.
    Crit = "crit",
    /// Requests that failed with a status from 500.
    Error = "error",
    /// Requests that failed with a status from 400.
    Warn = "warn",
    /// All requests.
    Info = "info",
    /// What developers of goldenkey want to know.
    Debug = "debug",
}

choice! {
    /// What the API's description at `/` shows.
    OpenApiMode, "Invalid openapi-mode. Check your configuration.";
    /// What the request's role may use.
    FollowPrivileges = "follow-privileges",
    /// Everything that is exposed.
    IgnorePrivileges = "ignore-privileges",
    /// There is none.
    Disabled = "disabled",
}
