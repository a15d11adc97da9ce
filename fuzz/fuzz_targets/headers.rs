//! Requests of any path and header fields: reading them ends in a value or a client error.

#![no_main]

use goldenkey::http::{Headers, Request};
use goldenkey::request::{ApiRequest, Settings, cookies_json, headers_json};
use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "BREW"];

fuzz_target!(|data: (u8, &str, &str)| {
    let (method, path, fields) = data;
    let fields = fields.lines().filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> =
        fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut request = Request {
        method: METHODS[usize::from(method) % METHODS.len()].to_owned(),
        path: path.to_owned(),
        headers: Headers(headers),
        ..Request::default()
    };
    let schemas = ["api".to_owned(), "other".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: true };
    for json in [headers_json(&request.headers), cookies_json(&request.headers)] {
        let value: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert!(value.is_object());
    }
    match ApiRequest::parse(&mut request, &settings) {
        Ok(read) => {
            for media_type in &read.accept {
                let _ = media_type.content_type();
            }
            let _ = (read.preferences.refuse_invalid(), read.preferences.applied());
        }
        Err(error) => assert!((400..500).contains(&error.status()), "{error:?}"),
    }
});
