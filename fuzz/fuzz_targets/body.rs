//! Bodies of every type: the verdict on JSON is that of serde_json, and what CSV and forms
//! become is JSON.

#![no_main]

use goldenkey::http::{Headers, Request};
use goldenkey::request::{ApiRequest, Payload, Settings, limits};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const TYPES: [&str; 5] = [
    "application/json",
    "text/csv",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/octet-stream",
];

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let content_type = TYPES[usize::from(*first) % TYPES.len()];
    let path = if first & 0x80 == 0 { "/table" } else { "/rpc/function" };
    let mut request = Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: Headers(vec![("content-type".to_owned(), content_type.to_owned())]),
        body: body.to_vec(),
        ..Request::default()
    };
    let schemas = ["api".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: true };
    let read = ApiRequest::parse(&mut request, &settings);
    let tree = serde_json::from_slice::<Value>(body);
    match read {
        Ok(read) => {
            let Some(Payload::Json(json)) = read.payload else { return };
            if content_type == "application/json" {
                // serde_json reads numbers into 64 bits and stops at 128 levels.
                let tree = tree.map_or_else(|e| is_own_limit(&e), |_| true);
                assert!(tree || body.is_empty(), "accepted what is no JSON");
            } else {
                serde_json::from_str::<Value>(&json.text).expect("what we write is JSON");
            }
        }
        Err(error) if content_type == "application/json" => {
            let known = error.message() == "All object keys must match"
                || error.code() == limits::CODE_TOO_MUCH;
            assert!(known || tree.is_err(), "refused JSON: {error:?}");
        }
        Err(error) => assert!((400..500).contains(&error.status()), "{error:?}"),
    }
});

fn is_own_limit(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    text.contains("recursion limit") || text.contains("number out of range")
}
