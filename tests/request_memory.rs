//! What a body is made into, and the most memory that takes, are a small multiple of the body:
//! for every type of body, and for the bodies that would be multiplied most.

use goldenkey::http::{Headers, Request};
use goldenkey::request::{ApiRequest, Settings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn changed(by: isize) {
    let now = NOW.with(|now| {
        now.set(now.get() + by);
        now.get()
    });
    PEAK.with(|peak| peak.set(peak.get().max(now)));
}

/// The system's allocator, keeping the bytes of each thread and the most there were.
struct Measuring;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        changed(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        changed(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// Bytes that reading may take at most for each byte of a body: an escaped control character
/// has six, and a buffer that grows is there twice for a moment.
const MAX_FACTOR: usize = 16;
/// Bytes that reading may take beside that: names and fields are counted, but are not free.
const MAX_FIXED_BYTES: usize = 2 << 20;

/// The most bytes that reading a body took.
fn peak(path: &str, content_type: &str, body: Vec<u8>) -> usize {
    let schemas = ["api".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: false };
    let mut request = Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: Headers(vec![("Content-Type".to_owned(), content_type.to_owned())]),
        body,
        ..Request::default()
    };
    let before = NOW.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let read = ApiRequest::parse(&mut request, &settings);
    let most = PEAK.with(Cell::get) - before;
    drop(read);
    usize::try_from(most).unwrap_or(0)
}

/// Bodies of about so many bytes, each with what is expensive in one of the types.
fn bodies(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let half = bytes / 2;
    let long_name_short_lines = format!("{}\n{}", "n".repeat(half), "1\n".repeat(half / 2));
    let names = |separator: &str| {
        let names: Vec<String> = (0..bytes / 8).map(|n| format!("k{n:06}")).collect();
        names.join(separator)
    };
    let members = names("\":0,\"");
    let object = format!("{{\"{members}\":0}}");
    let objects = vec![r#"{"a":1}"#; bytes / 8].join(",");
    vec![
        ("a long name and many lines", long_name_short_lines.into_bytes()),
        ("many names", names(",").into_bytes()),
        ("many names and a line", format!("{}\n{}", names(","), names(",")).into_bytes()),
        ("many members", object.into_bytes()),
        ("many objects", format!("[{objects}]").into_bytes()),
        ("many fields", names("&").into_bytes()),
        ("separators of a form", b"&".repeat(bytes)),
        ("separators of lines", b",".repeat(bytes)),
        ("line ends", b"\n".repeat(bytes)),
        ("control characters", [b"a\n".to_vec(), b"\x01".repeat(bytes)].concat()),
        ("quotes", [b"a\n".to_vec(), b"\"".repeat(bytes / 2 * 2)].concat()),
        ("brackets", b"[".repeat(bytes)),
        ("percent signs", b"%".repeat(bytes)),
        ("escapes", format!("{{\"{}\":1}}", "\\u0001".repeat(bytes / 6)).into_bytes()),
    ]
}

#[test]
fn reading_a_body_takes_a_small_multiple_of_its_bytes() {
    let types = [
        "application/json",
        "text/csv",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
    ];
    for bytes in [1 << 10, 32 << 10, 1 << 20] {
        for content_type in types {
            for path in ["/table", "/rpc/function"] {
                for (what, body) in bodies(bytes) {
                    let length = body.len();
                    let most = peak(path, content_type, body);
                    assert!(
                        most <= length * MAX_FACTOR + MAX_FIXED_BYTES,
                        "{what} as {content_type} for {path}: {most} bytes for {length}"
                    );
                }
            }
        }
    }
}
