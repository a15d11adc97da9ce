//! A token from the cache must cost no allocation. Counts with an allocator of its own,
//! hence a program of its own.

use goldenkey::auth::{Authenticator, Settings, sign};
use goldenkey::http::Headers;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks for.
struct Counting;

// SAFETY: it only passes calls on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises hold for the system's allocator too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_cached_token_and_an_anonymous_request_allocate_nothing() {
    let secret = b"a secret of at least thirty-two bytes";
    let settings = Settings {
        secret: Some(secret.to_vec()),
        anonymous_role: Some("web_anon".to_owned()),
        ..Settings::default()
    };
    let (authenticator, _) = Authenticator::new(settings).expect("the settings are good");
    let claims = serde_json::json!({"role": "reader", "exp": 4_102_444_800_i64, "aud": ["x"]});
    let token = sign(secret, claims.as_object().expect("it is one")).expect("the secret signs");
    let named = Headers(vec![("Authorization".to_owned(), format!("Bearer {token}"))]);
    let anonymous = Headers::default();
    let authenticate = |headers| {
        authenticator.authenticate(headers, 1_700_000_000).expect("it is good");
    };

    authenticate(&named);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        authenticate(&named);
        authenticate(&anonymous);
    }
    assert_eq!(ALLOCATIONS.get(), before);
}
