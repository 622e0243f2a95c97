//! Reading nginx's configuration: directive arguments, memory that lives as long as the
//! configuration does, inheritance between levels.

use std::ffi::{c_char, c_void, CStr, OsStr};
use std::fmt;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nginx_sys::{
    ngx_conf_full_name, ngx_conf_log_error, ngx_conf_t, ngx_flag_t, ngx_http_compile_complex_value,
    ngx_http_compile_complex_value_t, ngx_http_complex_value_t, ngx_http_get_variable_index,
    ngx_module_t, ngx_msec_t, ngx_palloc, ngx_parse_size, ngx_parse_time, ngx_pool_cleanup_add,
    ngx_pool_t, ngx_str_t, ngx_uint_t, NGX_LOG_EMERG, NGX_LOG_WARN, NGX_OK,
};
use ngx::log::{write_fmt, LOG_BUFFER_SIZE};

use super::guard::guard;

/// A flag that no directive has set (`NGX_CONF_UNSET`).
pub const UNSET: ngx_flag_t = -1;
/// A number that no directive has set (`NGX_CONF_UNSET_UINT`, `NGX_CONF_UNSET_MSEC`).
pub const UNSET_UINT: ngx_uint_t = ngx_uint_t::MAX;

/// What a directive's setter answers nginx on success.
const CONF_OK: *mut c_char = ptr::null_mut();
/// … and when it has written its own line to the log (`NGX_CONF_ERROR`).
const CONF_ERROR: *mut c_char = ptr::without_provenance_mut(usize::MAX);

/// Why a directive is refused.
pub enum Refusal {
    /// nginx puts the directive's name before this text and the file and line behind it, as in
    /// `"http_sendfile" directive is duplicate`.
    Directive(&'static CStr),
    /// The whole sentence; nginx adds file and line.
    Sentence(String),
    /// The same of a call that has failed, and the number of the system's reason, which nginx adds too.
    Errno(String, i32),
    /// The sentence has been logged by nginx.
    Logged,
}

impl<T: fmt::Display> From<T> for Refusal {
    fn from(sentence: T) -> Self {
        Self::Sentence(sentence.to_string())
    }
}

/// A compiled text with variables; valid as long as the configuration.
#[derive(Clone, Copy)]
pub enum ComplexValue {
    /// One variable alone, by its number: nginx's script for it would ask for it twice.
    Variable(ngx_uint_t),
    /// Any other text.
    Script(*mut ngx_http_complex_value_t),
}

/// nginx's view of the configuration while it is read.
#[derive(Clone, Copy)]
pub struct Conf(*mut ngx_conf_t);

impl Conf {
    /// # Safety
    /// `cf` is what nginx has passed to a callback that is running.
    pub unsafe fn from_raw(cf: *mut ngx_conf_t) -> Self {
        Self(cf)
    }

    /// The pointer, for calls of nginx.
    pub fn raw(self) -> *mut ngx_conf_t {
        self.0
    }

    /// The directive's words, its name first.
    pub fn args(&self) -> &[ngx_str_t] {
        // SAFETY: nginx keeps the words of the directive being set in `cf->args`.
        unsafe { (*(*self.0).args).as_slice() }
    }

    /// The directive's arguments.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.args().iter().skip(1).map(ngx_str_t::as_bytes)
    }

    /// A module by its name; linking to one would tie the shared object to nginxes that have it.
    pub fn module(self, name: &CStr) -> Option<&'static ngx_module_t> {
        // SAFETY: the cycle being read has a list of its modules that ends with a null pointer;
        // modules live as long as the cycle, and have names.
        unsafe {
            let mut next = (*(*self.0).cycle).modules;
            while let Some(module) = (*next).as_ref() {
                if CStr::from_ptr(module.name) == name {
                    return Some(module);
                }
                next = next.add(1);
            }
        }
        None
    }

    /// Memory of the configuration's lifetime.
    pub fn pool(self) -> *mut ngx_pool_t {
        // SAFETY: `cf` and its pool are valid while the callback runs.
        unsafe { (*self.0).pool }
    }

    /// Writes a sentence at `warn`, with file and line.
    pub fn warn(self, sentence: fmt::Arguments<'_>) {
        self.log(NGX_LOG_WARN, 0, sentence);
    }

    fn log(self, level: u32, errno: i32, sentence: fmt::Arguments<'_>) {
        let mut buffer = [const { MaybeUninit::uninit() }; LOG_BUFFER_SIZE];
        let text = write_fmt(&mut buffer, sentence);
        // SAFETY: `cf` is valid; nginx reads as many bytes as it is told, before the call returns.
        unsafe {
            let (level, format) = (level as ngx_uint_t, c"%*s".as_ptr());
            ngx_conf_log_error(level, self.0, errno, format, text.len(), text.as_ptr());
        }
    }

    /// A file's whole name: what is relative is beside the configuration file.
    pub fn full_name(self, name: &ngx_str_t) -> Result<&'static Path, Refusal> {
        let mut name = *name;
        // SAFETY: `cf` and its cycle are valid; the name is a word of the configuration, or what nginx has made
        // of it in memory of the same lifetime.
        unsafe {
            if ngx_conf_full_name((*self.0).cycle, &raw mut name, 1) != NGX_OK as isize {
                return Err(Refusal::Logged);
            }
            let name = std::slice::from_raw_parts(name.data, name.len);
            Ok(Path::new(OsStr::from_bytes(name)))
        }
    }

    /// Moves a value to memory of the configuration's lifetime; it is dropped with it.
    pub fn keep<T>(self, value: T) -> Result<&'static mut T, Refusal> {
        // SAFETY: the pool is valid; the cleanup's data is memory for a `T`, which is written before
        // anybody can run the cleanup. The reference lives as long as the configuration, which
        // outlasts everybody who runs by it.
        unsafe {
            let cleanup = ngx_pool_cleanup_add(self.pool(), size_of::<T>());
            if cleanup.is_null() {
                return Err(Refusal::Logged);
            }
            let place = (*cleanup).data.cast::<T>();
            place.write(value);
            (*cleanup).handler = Some(drop_kept::<T>);
            Ok(&mut *place)
        }
    }

    /// A copy of a text in memory of the configuration's lifetime.
    pub fn copy(self, text: &[u8]) -> Result<ngx_str_t, Refusal> {
        // SAFETY: the pool is valid.
        unsafe { ngx_str_t::from_bytes(self.pool(), text) }.ok_or(Refusal::Logged)
    }

    /// The variable that is all of a text. `None`: the text is something else.
    pub fn variable(self, text: &ngx_str_t) -> Result<Option<ComplexValue>, Refusal> {
        let Some(name) = only_variable(text.as_bytes()) else {
            return Ok(None);
        };
        let mut name = borrowed(name);
        // SAFETY: `cf` is valid; nginx copies the name.
        let index = unsafe { ngx_http_get_variable_index(self.0, &raw mut name) };
        let index = ngx_uint_t::try_from(index).map_err(|_| Refusal::Logged)?;
        Ok(Some(ComplexValue::Variable(index)))
    }

    /// Compiles a value with variables.
    pub fn complex_value(self, text: &ngx_str_t) -> Result<ComplexValue, Refusal> {
        if let Some(variable) = self.variable(text)? {
            return Ok(variable);
        }
        // SAFETY: the pool is valid; a zeroed compile request is one without options.
        unsafe {
            let size = size_of::<ngx_http_complex_value_t>();
            let value = ngx_palloc(self.pool(), size).cast::<ngx_http_complex_value_t>();
            let mut text = *text;
            let mut compile: ngx_http_compile_complex_value_t = std::mem::zeroed();
            compile.cf = self.0;
            compile.value = &raw mut text;
            compile.complex_value = value;
            if value.is_null() || ngx_http_compile_complex_value(&raw mut compile) != 0 {
                return Err(Refusal::Logged);
            }
            Ok(ComplexValue::Script(value))
        }
    }
}

unsafe extern "C" fn drop_kept<T>(data: *mut c_void) {
    // SAFETY: `Conf::keep` has written a `T` there; nginx runs a cleanup once.
    guard((), || unsafe { data.cast::<T>().drop_in_place() });
}

/// Runs a directive's setter and tells nginx how it went.
pub fn set(cf: *mut ngx_conf_t, setter: impl FnOnce(Conf) -> Result<(), Refusal>) -> *mut c_char {
    // SAFETY: `cf` comes from nginx, in a callback that is running.
    let conf = unsafe { Conf::from_raw(cf) };
    guard(CONF_ERROR, || match setter(conf) {
        Ok(()) => CONF_OK,
        Err(Refusal::Directive(text)) => text.as_ptr().cast_mut(),
        Err(Refusal::Sentence(sentence)) => {
            conf.log(NGX_LOG_EMERG, 0, format_args!("{sentence}"));
            CONF_ERROR
        }
        Err(Refusal::Errno(sentence, errno)) => {
            conf.log(NGX_LOG_EMERG, errno, format_args!("{sentence}"));
            CONF_ERROR
        }
        Err(Refusal::Logged) => CONF_ERROR,
    })
}

/// The name of the variable that is all of a text: `$name` or `${name}`. A text with `$1` is a
/// script, because captures have no number.
pub fn only_variable(text: &[u8]) -> Option<&[u8]> {
    let name = text.strip_prefix(b"$")?;
    let name = match name.strip_prefix(b"{") {
        Some(name) => name.strip_suffix(b"}")?,
        None => name,
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (!name.first()?.is_ascii_digit() && name.iter().all(is_name)).then_some(name)
}

/// A size as nginx writes it: `10m`, `512k`. `None`: it is none.
pub fn parse_size(text: &[u8]) -> Option<usize> {
    let mut text = borrowed(text);
    // SAFETY: the call reads the text and keeps nothing of it.
    usize::try_from(unsafe { ngx_parse_size(&raw mut text) }).ok()
}

/// A time as nginx writes it, in milliseconds: `500ms`, `10s`. `None`: it is none.
pub fn parse_time(text: &[u8]) -> Option<u64> {
    let mut text = borrowed(text);
    // SAFETY: the call reads the text and keeps nothing of it.
    u64::try_from(unsafe { ngx_parse_time(&raw mut text, 0) }).ok()
}

/// nginx's view of bytes, for calls that do not keep it.
pub fn borrowed(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}

/// Takes the outer level's flag, or the default, where no directive has set one.
pub fn merge_flag(value: &mut ngx_flag_t, outer: ngx_flag_t, default: ngx_flag_t) {
    if *value == UNSET {
        *value = if outer == UNSET { default } else { outer };
    }
}

/// The same for numbers and milliseconds.
pub fn merge_uint(value: &mut ngx_uint_t, outer: ngx_uint_t, default: ngx_uint_t) {
    if *value == UNSET_UINT {
        *value = if outer == UNSET_UINT { default } else { outer };
    }
}

const _: () = assert!(size_of::<ngx_uint_t>() == size_of::<ngx_msec_t>());
