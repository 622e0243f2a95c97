//! Notes on a client's request, which are also variables.
//!
//! nginx keeps the values of variables that have a number with the client's request, and a redirect does
//! not clear them. So a note costs no memory of its own, and a module can tell by it that it has seen the
//! request. It is kept with the main request: nginx's subrequests share its values, but some modules
//! (lua, echo, srcache) make subrequests that have values of their own.

use nginx_sys::{
    ngx_http_add_variable, ngx_http_get_variable_index, ngx_http_request_t,
    ngx_http_variable_value_t, ngx_int_t, ngx_str_t, ngx_uint_t, NGX_ERROR, NGX_OK,
};

use super::conf::{Conf, Refusal};
use super::guard::guard;
use super::request::Request;
use super::value::Value;
use super::variable::Variable;

/// A note of text.
#[derive(Clone, Copy)]
pub struct Text(ngx_uint_t);

impl Text {
    /// Declares the note and the variable `name`.
    pub fn declare(cf: Conf, name: &'static str) -> Result<Self, Refusal> {
        Value::check()?;
        declare(cf, name, get_text).map(Self)
    }

    /// Declares the note and the variable of `V`, which has its value where nothing was written.
    pub fn declare_or<V: Variable>(cf: Conf) -> Result<Self, Refusal> {
        Value::check()?;
        declare(cf, V::NAME, get_or::<V>).map(Self)
    }

    /// Whether it has been written.
    #[inline]
    pub fn is_set(self, r: Request) -> bool {
        Value::read(place(r, self.0)).is_valid()
    }

    /// What has been written.
    pub fn get(self, r: Request) -> Option<&'static [u8]> {
        let value = Value::read(place(r, self.0));
        // SAFETY: only `set` writes a valid value here, whose bytes live as long as the request.
        value.is_valid().then(|| unsafe { value.to_text() })
    }

    /// Writes it: static bytes, or memory of the request or the configuration.
    #[inline]
    pub fn set(self, r: Request, text: &'static [u8]) {
        Value::text(text).write(place(r, self.0));
    }
}

/// A note of a number, which becomes a text when the variable is asked for.
pub trait Number {
    /// The variable's name, without the dollar sign.
    const NAME: &'static str;

    /// The text: memory of the request. `None`: there is no more memory.
    fn text(r: Request, number: u64) -> Option<&'static [u8]> {
        r.print_number(number)
    }
}

/// The note of an `N`.
pub struct NumberNote<N>(ngx_uint_t, std::marker::PhantomData<N>);

impl<N: Number> NumberNote<N> {
    /// Declares the note and its variable.
    pub fn declare(cf: Conf) -> Result<Self, Refusal> {
        declare(cf, N::NAME, get_number::<N>).map(|index| Self(index, std::marker::PhantomData))
    }

    /// Writes it, once in a request.
    #[inline]
    pub fn set(&self, r: Request, number: u32) {
        // Where nothing was noted there is a null pointer, so the number is moved by one.
        Value::number(number as usize + 1).write(place(r, self.0));
    }
}

type Get = unsafe extern "C" fn(
    *mut ngx_http_request_t,
    *mut ngx_http_variable_value_t,
    usize,
) -> ngx_int_t;

fn declare(cf: Conf, name: &'static str, get: Get) -> Result<ngx_uint_t, Refusal> {
    let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
    // SAFETY: `cf` is valid; nginx copies the name and keeps the variable with the configuration.
    let index = unsafe {
        let variable = ngx_http_add_variable(cf.raw(), &raw mut name, 0);
        let variable = variable.as_mut().ok_or(Refusal::Logged)?;
        let index = ngx_http_get_variable_index(cf.raw(), &raw mut name);
        let index = ngx_uint_t::try_from(index).map_err(|_| Refusal::Logged)?;
        variable.get_handler = Some(get);
        variable.data = index;
        index
    };
    Ok(index)
}

#[inline]
fn place<'a>(r: Request, index: ngx_uint_t) -> &'a mut ngx_http_variable_value_t {
    // SAFETY: nginx has given the index in the configuration by which the request runs, and has a value for
    // each. The worker has one thread, and nobody keeps a reference.
    unsafe { &mut *(*(*r.raw()).main).variables.add(index) }
}

/// nginx asks for what has not been written, or not in this part of the request.
unsafe extern "C" fn get_text(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    get(r, value, index, |_, _| None)
}

unsafe extern "C" fn get_or<V: Variable>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    get(r, value, index, |r, _| V::value(r))
}

unsafe extern "C" fn get_number<N: Number>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    get(r, value, index, |r, noted| {
        let number = noted.to_number().checked_sub(1)?;
        N::text(r, number as u64)
    })
}

/// Gives what the main request has, or else what `make` makes of it.
fn get(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
    make: impl FnOnce(Request, Value) -> Option<&'static [u8]>,
) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the request and the place of the value; nothing else refers to it.
        let Some(r) = (unsafe { Request::from_raw(r) }) else { return NGX_ERROR as ngx_int_t };
        let noted = Value::read(place(r, index));
        let answer = match noted.is_valid() {
            true => noted,
            false => make(r, noted).map_or(Value::not_found(), Value::text),
        };
        // SAFETY: as above.
        answer.write(unsafe { &mut *value });
        NGX_OK as ngx_int_t
    })
}
