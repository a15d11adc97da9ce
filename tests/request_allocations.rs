//! Reading a request allocates little: the counts here are kept.

use goldenkey::http::{Headers, Request};
use goldenkey::request::{ApiRequest, Parameters, Query, Settings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting the calls of each thread.
struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number of allocations that `work` makes; a reallocation counts as one.
fn allocations<T>(work: impl FnOnce() -> T) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    let value = work();
    let count = ALLOCATIONS.with(Cell::get) - before;
    drop(value);
    count
}

#[test]
fn a_plain_query_takes_eleven_allocations() {
    let query = "select=id,title,price&id=eq.42";
    let count = allocations(|| Query::parse(query, Parameters::Filters).unwrap());
    assert!(count <= 11, "{count} allocations");
}

#[test]
fn embeds_and_filters_take_a_few_allocations_each() {
    let query = "select=id,books!inner(id,publishers(name))&books.price=gte.8&or=(a.gt.1,b.is.null)\
                 &order=name.desc&books.limit=5";
    let count = allocations(|| Query::parse(query, Parameters::Filters).unwrap());
    assert!(count <= 34, "{count} allocations");
}

#[test]
fn a_body_takes_none_for_each_of_its_rows() {
    let body = |rows: usize| {
        let row = r#"{"id":1,"name":"x","tags":["a",{"b":null}]}"#;
        format!("[{}]", vec![row; rows].join(",")).into_bytes()
    };
    let schemas = ["api".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: false };
    let count = |rows| {
        let mut request = Request {
            method: "POST".to_owned(),
            path: "/table".to_owned(),
            headers: Headers::default(),
            body: body(rows),
            ..Request::default()
        };
        allocations(|| ApiRequest::parse(&mut request, &settings).unwrap())
    };
    assert_eq!(count(2), count(2_000));
}
