//! Signing tokens, for the command line and for tests.

use super::KeyError;
use super::key::MIN_SECRET_BYTES;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

/// A key that signs tokens.
pub struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl SigningKey {
    /// A key from the value of `jwt-secret`.
    ///
    /// # Errors
    ///
    /// When the secret is too short.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::new("The JWT secret must be at least 32 characters long."));
        }
        let header = Header::new(Algorithm::HS256);
        Ok(SigningKey { header, key: EncodingKey::from_secret(secret) })
    }

    /// Signs `claims`.
    ///
    /// # Errors
    ///
    /// When the key cannot sign after all.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|error| KeyError::new(format!("signing failed: {error}")))
    }
}

/// Signs `claims` with the value of `jwt-secret`.
///
/// ```
/// let claims = serde_json::json!({"role": "todo_user"}).as_object().unwrap().clone();
/// let token = goldenkey::auth::sign(b"a secret of at least thirty-two bytes", &claims)?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), goldenkey::auth::KeyError>(())
/// ```
///
/// # Errors
///
/// When the secret is too short.
pub fn sign(secret: &[u8], claims: &Map<String, Value>) -> Result<String, KeyError> {
    SigningKey::from_secret(secret)?.sign(claims)
}
