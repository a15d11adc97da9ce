//! The algorithms that tokens may be signed with.

use std::fmt;
use std::str::FromStr;

macro_rules! algorithms {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal $(as $jose:ident)?,)+) => {
        /// A signature algorithm (RFC 7518, section 3.1; RFC 8037).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Algorithm {
            $($(#[doc = $help])+ $variant),+
        }

        impl Algorithm {
            /// All of them.
            pub const ALL: &[Algorithm] = &[$(Algorithm::$variant),+];

            /// The name in headers and keys.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Algorithm::$variant => $name),+
                }
            }

            /// The same for `jsonwebtoken`, which does not know all of them.
            pub const fn known_to_jsonwebtoken(self) -> Option<jsonwebtoken::Algorithm> {
                match self {
                    $($(Algorithm::$variant => Some(jsonwebtoken::Algorithm::$jose),)?)+
                    Algorithm::Es512 => None,
                }
            }
        }

        impl FromStr for Algorithm {
            type Err = ();

            fn from_str(name: &str) -> Result<Self, ()> {
                match name {
                    $($name => Ok(Algorithm::$variant),)+
                    _ => Err(()),
                }
            }
        }
    };
}

algorithms! {
    /// HMAC with SHA-256.
    Hs256 = "HS256" as HS256,
    /// HMAC with SHA-384.
    Hs384 = "HS384" as HS384,
    /// HMAC with SHA-512.
    Hs512 = "HS512" as HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256" as RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 = "RS384" as RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 = "RS512" as RS512,
    /// RSASSA-PSS with SHA-256.
    Ps256 = "PS256" as PS256,
    /// RSASSA-PSS with SHA-384.
    Ps384 = "PS384" as PS384,
    /// RSASSA-PSS with SHA-512.
    Ps512 = "PS512" as PS512,
    /// ECDSA on P-256 with SHA-256.
    Es256 = "ES256" as ES256,
    /// ECDSA on P-384 with SHA-384.
    Es384 = "ES384" as ES384,
    /// ECDSA on P-521 with SHA-512.
    Es512 = "ES512",
    /// Ed25519.
    EdDsa = "EdDSA" as EdDSA,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
