//! What a module knows of a request beyond an internal redirect.
//!
//! A redirect clears every module's context, so the record lives in a cleanup of the request's
//! pool, as `ngx_http_realip_module` does it (`ngx_http_realip_get_module_ctx`), and the context
//! is only the short way to it. A subrequest shares the pool and has a record of its own.

use std::ffi::c_void;
use std::ptr;

use nginx_sys::{ngx_http_request_t, ngx_module_t, ngx_pool_cleanup_add};

use super::guard::guard;
use super::request::Request;

/// What a module keeps of a request.
pub trait Record: Default + 'static {
    /// The module whose record it is; it has no other use of the request's context.
    fn module() -> &'static ngx_module_t;
}

/// What every record begins with, so that it can be told from others of its kind.
#[repr(C)]
struct Head {
    module: *const ngx_module_t,
    request: *mut ngx_http_request_t,
    drop: unsafe fn(*mut Head),
}

#[repr(C)]
struct Kept<T> {
    head: Head,
    record: T,
}

/// The record of a request since its last redirect. `None`: none was made since.
pub fn current<T: Record>(r: Request) -> Option<&'static T> {
    let kept = r.context(T::module()).cast::<Kept<T>>();
    // SAFETY: only `create` and `find` write the context, with memory of the request's lifetime.
    unsafe { kept.as_ref().map(|kept| &kept.record) }
}

/// The record of a request, whether or not it has been redirected since.
pub fn find<T: Record>(r: Request) -> Option<&'static T> {
    current(r).or_else(|| {
        if !r.is_internal() {
            // Only a redirect clears the context, and it makes the request internal.
            return None;
        }
        // SAFETY: nginx keeps the list of cleanups in the request's pool. A cleanup with this handler
        // has data that begins with a `Head`, and the module tells which `Kept` it is.
        unsafe {
            let mut cleanup = (*(*r.raw()).pool).cleanup;
            while let Some(this) = cleanup.as_ref() {
                if this.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, CLEANUP)) {
                    let head = this.data.cast::<Head>();
                    if ptr::eq((*head).module, T::module()) && (*head).request == r.raw() {
                        r.set_context(T::module(), head.cast());
                        return Some(&(*head.cast::<Kept<T>>()).record);
                    }
                }
                cleanup = this.next;
            }
        }
        None
    })
}

/// Makes the record of a request. `None`: there is no more memory.
pub fn create<T: Record>(r: Request) -> Option<&'static T> {
    // SAFETY: the pool is valid; the cleanup's data is written before anybody can run it, and lives
    // as long as the request.
    unsafe {
        let cleanup = ngx_pool_cleanup_add((*r.raw()).pool, size_of::<Kept<T>>());
        if cleanup.is_null() {
            return None;
        }
        let kept = (*cleanup).data.cast::<Kept<T>>();
        let head = Head { module: T::module(), request: r.raw(), drop: drop_kept::<T> };
        kept.write(Kept { head, record: T::default() });
        (*cleanup).handler = Some(CLEANUP);
        r.set_context(T::module(), kept.cast());
        Some(&(*kept).record)
    }
}

/// The one handler of all records' cleanups: taken once, so that its address is one.
static CLEANUP: unsafe extern "C" fn(*mut c_void) = clean_up;

unsafe extern "C" fn clean_up(data: *mut c_void) {
    let head = data.cast::<Head>();
    // SAFETY: only `create` sets this handler, with a `Kept`; nginx runs a cleanup once.
    guard((), || unsafe { ((*head).drop)(head) });
}

/// # Safety
/// `head` is that of a `Kept<T>` that is not used any more.
unsafe fn drop_kept<T>(head: *mut Head) {
    // SAFETY: the caller vouches for it.
    unsafe { head.cast::<Kept<T>>().drop_in_place() }
}
