//! Header fields of requests and responses.
//!
//! nginx keeps them in lists, and beside that has pointers to those that it knows, whose types differ from
//! version to version. The lists do not.

use std::ptr::{self, NonNull};

use nginx_sys::{
    ngx_array_create, ngx_array_push, ngx_array_t, ngx_list_part_t, ngx_list_push, ngx_list_t,
    ngx_pool_t, ngx_str_t, ngx_table_elt_t,
};

use super::conf::borrowed;
use super::request::Request;

impl Request {
    /// The values of all fields of a name that the client has sent, in their order: memory of the request.
    pub fn headers(self, name: &'static [u8]) -> impl Iterator<Item = &'static [u8]> {
        // SAFETY: the request is valid, and has its list before any phase runs.
        let fields = unsafe { fields_of(&raw mut (*self.raw()).headers_in.headers, name) };
        // SAFETY: nginx has written the field, whose value is memory of the request.
        fields.map(|field| unsafe { lasting((*field).value) })
    }

    /// The value of the first `Accept` field.
    #[inline]
    pub fn accept(self) -> Option<&'static [u8]> {
        #[cfg(ngx_feature = "compat")]
        {
            // SAFETY: the request is valid; where nginx keeps a pointer to the field, as it does for all modules that
            // were built `--with-compat`, it is null or that of a field in the list.
            unsafe { (*self.raw()).headers_in.accept.as_ref().map(|field| lasting(field.value)) }
        }
        #[cfg(not(ngx_feature = "compat"))]
        {
            self.headers(b"accept").next()
        }
    }

    /// Adds a header field to the response. The value is memory of the request or static. `false`:
    /// there is no more memory.
    pub fn add_header(self, name: &'static str, value: &'static [u8]) -> bool {
        // SAFETY: the list is the request's own; the new element is written whole before nginx reads it, and
        // all-zero is one without the links that some versions have.
        unsafe {
            let list = &raw mut (*self.raw()).headers_out.headers;
            let Some(field) = NonNull::new(ngx_list_push(list).cast::<ngx_table_elt_t>()) else {
                return false;
            };
            let mut written: ngx_table_elt_t = std::mem::zeroed();
            written.hash = 1;
            written.key = borrowed(name.as_bytes());
            written.value = borrowed(value);
            field.write(written);
        }
        true
    }

    /// Gives the response this `Cache-Control` and no other. The value is memory of the request or static. `false`:
    /// there is no more memory.
    pub fn set_cache_control(self, value: &'static [u8]) -> bool {
        const NAME: &str = "Cache-Control";
        if let Some(first) = self.sent(NAME).next() {
            self.sent(NAME).skip(1).for_each(remove);
            // SAFETY: the field is in the request's list, and stays there.
            unsafe { (*first).value = borrowed(value) };
            return true;
        }
        // SAFETY: the request is valid, the field is in its list, and nginx knows of no other.
        self.add_header(NAME, value)
            && self.sent(NAME).next().is_some_and(|field| unsafe {
                (*self.raw()).headers_out.cache_control.know(field, (*self.raw()).pool)
            })
    }

    /// Adds a `Location`, which nginx makes absolute if it is told to. The value is memory of the request or static.
    /// `false`: there is no more memory.
    pub fn set_location(self, value: &'static [u8]) -> bool {
        const NAME: &str = "Location";
        let is_added = self.add_header(NAME, value);
        let field = self.sent(NAME).last().filter(|_| is_added);
        // SAFETY: the request is valid, and the field in its list.
        field.map(|field| unsafe { (*self.raw()).headers_out.location = field }).is_some()
    }

    /// Takes all header fields of a name away from the response.
    pub fn remove_header(self, name: &'static str) {
        self.sent(name).for_each(remove);
    }

    /// The fields of a name that are to be sent.
    fn sent(self, name: &'static str) -> impl Iterator<Item = *mut ngx_table_elt_t> {
        // SAFETY: the request is valid, and has its list before any phase runs.
        let fields =
            unsafe { fields_of(&raw mut (*self.raw()).headers_out.headers, name.as_bytes()) };
        // SAFETY: nginx has written the field; one whose hash is zero is not sent.
        fields.filter(|field| unsafe { (**field).hash != 0 })
    }
}

/// By what nginx knows the response's `Cache-Control`, when `$sent_http_cache_control` or `gzip_proxied` asks.
trait Known {
    /// Has nginx know of a field, the first one. `false`: there is no more memory.
    ///
    /// # Safety
    /// Field and pool are those of the request that this is part of.
    unsafe fn know(&mut self, field: *mut ngx_table_elt_t, pool: *mut ngx_pool_t) -> bool;
}

/// Since nginx 1.23: the first of a list.
impl Known for *mut ngx_table_elt_t {
    unsafe fn know(&mut self, field: *mut ngx_table_elt_t, _: *mut ngx_pool_t) -> bool {
        *self = field;
        true
    }
}

/// Before: an array of pointers, which is not there until there is one.
impl Known for ngx_array_t {
    unsafe fn know(&mut self, field: *mut ngx_table_elt_t, pool: *mut ngx_pool_t) -> bool {
        // SAFETY: the caller vouches for the pool; an array has room for as many as it was made for.
        unsafe {
            let array = ngx_array_create(pool, 1, size_of_val(&field));
            let Some(array) = array.as_ref() else { return false };
            *self = *array;
            let place = ngx_array_push(self).cast::<*mut ngx_table_elt_t>();
            place.write(field);
        }
        true
    }
}

/// Has nginx not send a field.
fn remove(field: *mut ngx_table_elt_t) {
    // SAFETY: the field is in the request's list, and stays there.
    unsafe { (*field).hash = 0 };
}

/// The fields of a name in a list.
///
/// # Safety
/// The list is one of a request's, and lives as long as the iterator is used.
unsafe fn fields_of(
    list: *mut ngx_list_t,
    name: &'static [u8],
) -> impl Iterator<Item = *mut ngx_table_elt_t> {
    // SAFETY: the caller vouches for the list; nginx has written its fields, whose names are in the request's
    // memory.
    unsafe { fields(list) }
        .filter(move |field| unsafe { lasting((**field).key) }.eq_ignore_ascii_case(name))
}

/// All fields in a list.
///
/// # Safety
/// As for [`fields_of`].
unsafe fn fields(list: *mut ngx_list_t) -> impl Iterator<Item = *mut ngx_table_elt_t> {
    // SAFETY: the caller vouches for it.
    let mut part: *mut ngx_list_part_t = unsafe { &raw mut (*list).part };
    let mut place = 0;
    std::iter::from_fn(move || {
        // SAFETY: each part has as many elements as it says, which are fields, and the last one no next.
        unsafe {
            while place >= (*part).nelts {
                part = NonNull::new((*part).next)?.as_ptr();
                place = 0;
            }
            place += 1;
            Some((*part).elts.cast::<ngx_table_elt_t>().add(place - 1))
        }
    })
}

/// # Safety
/// The text is memory of the request, or lasts longer.
unsafe fn lasting(text: ngx_str_t) -> &'static [u8] {
    match text.len {
        0 => &[],
        // SAFETY: the caller vouches for it.
        length => unsafe { &*ptr::slice_from_raw_parts(text.data, length) },
    }
}
