//! A variable's value, as nginx keeps it (`ngx_variable_value_t`): a pointer, and a word of bits.
//!
//! bindgen's accessors of bit fields go bit by bit, 28 times for a length. On the way of every request
//! the word is read and written as a whole.

use std::ptr::NonNull;

use nginx_sys::ngx_http_variable_value_t;

use super::conf::Refusal;

/// Where the bits are: compilers allot bit fields from the end at which a number's bytes begin.
const LITTLE: bool = cfg!(target_endian = "little");
const LENGTH_SHIFT: u32 = if LITTLE { 0 } else { 4 };
const LENGTH_MASK: u32 = 0x0fff_ffff;
const VALID: u32 = if LITTLE { 1 << 28 } else { 1 << 3 };
const NOT_FOUND: u32 = if LITTLE { 1 << 30 } else { 1 << 1 };

/// A value that is written to a request's variables as it is.
#[derive(Clone, Copy)]
pub struct Value {
    bits: u32,
    data: *mut u8,
}

impl Value {
    /// A text: static bytes, or memory as lasting as what the value is written to.
    #[inline]
    pub fn text(text: &'static [u8]) -> Self {
        let length = (text.len() as u32 & LENGTH_MASK) << LENGTH_SHIFT;
        Self { bits: length | VALID, data: text.as_ptr().cast_mut() }
    }

    /// No value yet, and a number that whoever gives one will find in place of the pointer.
    #[inline]
    pub fn number(number: usize) -> Self {
        Self { bits: 0, data: std::ptr::without_provenance_mut(number) }
    }

    /// That there is none.
    #[inline]
    pub fn not_found() -> Self {
        Self { bits: NOT_FOUND, data: std::ptr::null_mut() }
    }

    /// Writes it.
    #[inline]
    pub fn write(self, value: &mut ngx_http_variable_value_t) {
        // SAFETY: the bits are the first field, of 32 bits; `check` makes sure.
        unsafe { std::ptr::from_mut(value).cast::<u32>().write(self.bits) };
        value.data = self.data;
    }

    /// Reads it.
    #[inline]
    pub fn read(value: &ngx_http_variable_value_t) -> Self {
        // SAFETY: as in `write`.
        let bits = unsafe { std::ptr::from_ref(value).cast::<u32>().read() };
        Self { bits, data: value.data }
    }

    /// Whether it has been written, or got.
    #[inline]
    pub fn is_valid(self) -> bool {
        self.bits & VALID != 0
    }

    /// The number that [`Self::number`] has put in.
    pub fn to_number(self) -> usize {
        self.data.addr()
    }

    /// Its bytes; none if there is none.
    ///
    /// # Safety
    /// nginx or [`Self::text`] has made it, and the bytes live as long as they are used.
    #[inline]
    pub unsafe fn to_text(self) -> &'static [u8] {
        let length = self.bits >> LENGTH_SHIFT & LENGTH_MASK;
        match NonNull::new(self.data) {
            // SAFETY: the caller vouches for it.
            Some(data) if self.bits & NOT_FOUND == 0 && length > 0 => unsafe {
                std::slice::from_raw_parts(data.as_ptr(), length as usize)
            },
            _ => &[],
        }
    }

    /// Makes sure that the bits are where this compiler's nginx has them.
    pub fn check() -> Result<(), Refusal> {
        let mut value = ngx_http_variable_value_t {
            _bitfield_align_1: [],
            _bitfield_1: ngx_http_variable_value_t::new_bitfield_1(0x0765_4321, 1, 0, 0, 0),
            data: std::ptr::null_mut(),
        };
        let text = Self::read(&value).bits == 0x0765_4321 << LENGTH_SHIFT | VALID;
        Self::not_found().write(&mut value);
        match text && value.not_found() == 1 && value.len() == 0 && value.valid() == 0 {
            true => Ok(()),
            false => Err("the bits of variables are not where ngx-smart expects them".into()),
        }
    }
}
