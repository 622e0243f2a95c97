//! Variables of the module.

use nginx_sys::{
    ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t, ngx_str_t,
    ngx_uint_t, NGX_ERROR, NGX_HTTP_VAR_NOCACHEABLE, NGX_OK,
};

use super::conf::{Conf, Refusal};
use super::guard::guard;
use super::request::Request;
use super::value::Value;

/// A variable.
pub trait Variable {
    /// Its name, without the dollar sign.
    const NAME: &'static str;

    /// Its value for a request: static bytes or memory of the request. `None`: it has none, which
    /// the access log writes as `-`.
    fn value(r: Request) -> Option<&'static [u8]>;
}

/// Declares a variable. Its value is asked for anew each time: it changes while the request runs.
pub fn add<V: Variable>(cf: Conf) -> Result<(), Refusal> {
    let mut name = ngx_str_t { len: V::NAME.len(), data: V::NAME.as_ptr().cast_mut() };
    // SAFETY: `cf` is valid; nginx copies the name and keeps the variable with the configuration.
    unsafe {
        let flags = NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t;
        let variable = ngx_http_add_variable(cf.raw(), &raw mut name, flags);
        let variable = variable.as_mut().ok_or(Refusal::Logged)?;
        variable.get_handler = Some(get::<V>);
    }
    Ok(())
}

unsafe extern "C" fn get<V: Variable>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    _data: usize,
) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the request and the place for its value.
        let (r, value) = unsafe { (Request::from_raw(r), &mut *value) };
        r.and_then(V::value).map_or(Value::not_found(), Value::text).write(value);
        NGX_OK as ngx_int_t
    })
}
