//! Shared-memory zones: declared by a directive, one structure each, kept over reloads.
//!
//! A kind of zone is a type that implements [`Shared`]. nginx has one namespace for all zones and
//! tells kinds apart by a tag, which is the type's own static; so two kinds of one name are refused.

use std::ffi::c_void;
use std::fmt;
use std::ptr::{self, NonNull};

use nginx_sys::{
    ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_t,
    ngx_shmtx_unlock, ngx_slab_alloc, ngx_slab_pool_t, ngx_str_t, NGX_ERROR, NGX_LOG_EMERG,
    NGX_LOG_WARN, NGX_OK,
};

use super::conf::{parse_size, Conf, Refusal};
use super::guard::guard;
use super::log::Log;
use crate::shm::{words, Word};

/// A structure in shared memory.
pub trait Shared: Sized + 'static {
    /// The directive that declares a zone of this kind, as messages name it.
    const DIRECTIVE: &'static str;

    /// What the configuration says of a zone; it is new after each reload.
    type Settings: 'static;

    /// What makes the kind unique in nginx's namespace of zones.
    fn tag() -> *mut c_void;

    /// Formats fresh memory. `None`: it is too small.
    fn create(words: &'static [Word]) -> Option<Self>;

    /// Takes over memory that [`Self::create`] has formatted. `None`: this version cannot read it.
    fn open(words: &'static [Word]) -> Option<Self>;

    /// What is wrong with declaring the zone `name` again that has such settings.
    fn is_declared_twice(name: &ngx_str_t, _earlier: &Self::Settings) -> String {
        format!("{} \"{name}\" is duplicate", Self::DIRECTIVE)
    }

    /// Whether a zone may be kept whose settings change; else the reason for which the new
    /// configuration is refused.
    fn may_change(
        _: &ngx_str_t,
        _old: &Self::Settings,
        _new: &Self::Settings,
    ) -> Result<(), String> {
        Ok(())
    }

    /// Whether the structure has room for what the configuration says of the zone; else the reason for which
    /// the configuration is refused.
    fn fits(&self, _: &ngx_str_t, _: &Self::Settings) -> Result<(), String> {
        Ok(())
    }
}

/// What nginx keeps with a zone.
struct Declared<T: Shared> {
    settings: T::Settings,
    /// Nothing until the memory is mapped.
    structure: Option<T>,
}

/// A zone of kind `T`, as directives refer to it. It holds nothing until nginx has mapped it.
pub struct Zone<T>(NonNull<ngx_shm_zone_t>, std::marker::PhantomData<T>);

impl<T> Clone for Zone<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Zone<T> {}

impl<T> PartialEq for Zone<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Shared> Zone<T> {
    /// Declares a zone from a text `name:size`, which is or ends the directive's `argument`.
    pub fn declare(
        cf: Conf,
        argument: &[u8],
        text: &[u8],
        settings: T::Settings,
    ) -> Result<Self, Refusal> {
        let (name, size) = name_and_size(cf, argument, text)?;
        Self::declare_named(cf, argument, name, size, settings)
    }

    /// Declares a zone of a name and a size, which the directive's `argument` says.
    pub fn declare_named(
        cf: Conf,
        argument: &[u8],
        name: ngx_str_t,
        size: &[u8],
        settings: T::Settings,
    ) -> Result<Self, Refusal> {
        let Some(size) = parse_size(size) else {
            return Err(invalid_size(argument));
        };
        // SAFETY: the least sensible zone in nginx's own eyes; a constant after start-up.
        let minimum = 8 * unsafe { nginx_sys::ngx_pagesize };
        if size < minimum {
            let argument = String::from_utf8_lossy(argument);
            return Err(format!("zone \"{argument}\" is too small").into());
        }
        Self::declare_sized(cf, name, size, settings)
    }

    /// Declares a zone of a name and a size in bytes, which no directive says: one of our own.
    pub fn declare_sized(
        cf: Conf,
        name: ngx_str_t,
        size: usize,
        settings: T::Settings,
    ) -> Result<Self, Refusal> {
        let zone = Self::add(cf, &name, size)?;
        if let Some(declared) = zone.declared() {
            return Err(T::is_declared_twice(&name, &declared.settings).into());
        }
        // SAFETY: `add` has got the zone from nginx, which keeps it for the configuration.
        let raw = unsafe { &mut *zone.0.as_ptr() };
        raw.init = Some(init::<T>);
        raw.data = ptr::from_mut(cf.keep(Declared::<T> { settings, structure: None })?).cast();
        Ok(zone)
    }

    /// The zone of a name, which may be declared later in the configuration.
    pub fn named(cf: Conf, name: &ngx_str_t) -> Result<Self, Refusal> {
        Self::add(cf, name, 0)
    }

    fn add(cf: Conf, name: &ngx_str_t, size: usize) -> Result<Self, Refusal> {
        let mut name = *name;
        // SAFETY: `cf` is valid; nginx keeps the name, whose bytes live in the configuration.
        let zone = unsafe { ngx_shared_memory_add(cf.raw(), &raw mut name, size, T::tag()) };
        NonNull::new(zone).map(|zone| Self(zone, std::marker::PhantomData)).ok_or(Refusal::Logged)
    }

    /// The zone's name.
    pub fn name(&self) -> &'static ngx_str_t {
        // SAFETY: nginx keeps the zone as long as the configuration that this handle is part of.
        unsafe { &(*self.0.as_ptr()).shm.name }
    }

    /// Whether a directive has declared it.
    pub fn is_declared(&self) -> bool {
        self.declared().is_some()
    }

    /// The structure in it. `None`: not mapped yet.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        self.declared()?.structure.as_ref()
    }

    /// Runs `work` on the structure while no other process does so. `None`: not mapped yet.
    ///
    /// It holds the lock of the zone's slab pool, which nginx opens when a worker dies in it. (No other lock in
    /// shared memory would be.) So the structure may be half changed then: `work` must bear it. It must be
    /// short, because others wait for it, and must not come back here for the same zone.
    #[inline]
    pub fn exclusively<R>(&self, work: impl FnOnce(&'static T) -> R) -> Option<R> {
        let structure = self.get()?;
        let _lock = Lock::of(self.0);
        Some(work(structure))
    }

    /// What its directive says of it. `None`: no directive has declared it.
    #[inline]
    pub fn settings(&self) -> Option<&'static T::Settings> {
        self.declared().map(|declared| &declared.settings)
    }

    #[inline]
    fn declared(&self) -> Option<&'static Declared<T>> {
        // SAFETY: as in `name`; `declare` has set `data`, with memory of the configuration's lifetime,
        // and only `init` changes it, before any request.
        unsafe { (*self.0.as_ptr()).data.cast::<Declared<T>>().as_ref() }
    }
}

/// Whether a process lives that has written its number into a zone.
pub fn is_alive(process: u32) -> bool {
    // SAFETY: signal 0 only asks; nginx numbers processes as the system does.
    let asked = unsafe { libc::kill(process as libc::pid_t, 0) };
    asked == 0 || nginx_sys::ngx_errno() != libc::ESRCH
}

/// The lock of a zone's slab pool, held.
struct Lock(*mut ngx_shmtx_t);

impl Lock {
    fn of(zone: NonNull<ngx_shm_zone_t>) -> Self {
        // SAFETY: the zone is mapped, because its structure is; nginx has set up the pool that its memory
        // begins with, lock included (`ngx_init_zone_pool`).
        unsafe {
            let pool = (*zone.as_ptr()).shm.addr.cast::<ngx_slab_pool_t>();
            let mutex = &raw mut (*pool).mutex;
            ngx_shmtx_lock(mutex);
            Self(mutex)
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: `of` has locked it, in this process; the zone stays mapped while its configuration runs.
        unsafe { ngx_shmtx_unlock(self.0) }
    }
}

fn invalid_size(argument: &[u8]) -> Refusal {
    format!("invalid zone size \"{}\"", String::from_utf8_lossy(argument)).into()
}

fn name_and_size<'a>(
    cf: Conf,
    argument: &[u8],
    text: &'a [u8],
) -> Result<(ngx_str_t, &'a [u8]), Refusal> {
    let colon = text.iter().position(|byte| *byte == b':').ok_or_else(|| invalid_size(argument))?;
    let (name, size) = text.split_at(colon);
    if name.is_empty() {
        return Err(
            format!("invalid zone name in \"{}\"", String::from_utf8_lossy(argument)).into()
        );
    }
    Ok((cf.copy(name)?, &size[1..]))
}

/// Runs once per zone before a configuration is accepted. nginx has kept the memory of the one before if
/// name, tag and size are the same; then `old` is the data of that zone.
unsafe extern "C" fn init<T: Shared>(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes a mapped zone; its memory begins with the slab pool that nginx has
        // set up, its `data` is the `Declared<T>` of `Zone::declare`, and so is `old` if there is one: a
        // kept zone has the same tag.
        let (pool, declared, old) = unsafe {
            let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
            let declared = &mut *(*zone).data.cast::<Declared<T>>();
            (pool, declared, old.cast::<Declared<T>>().as_ref())
        };
        // SAFETY: the zone is valid; the cycle is still the one before, but this log is the new one.
        let (name, log) = unsafe { ((*zone).shm.name, Log((*zone).shm.log)) };
        let refuse = |reason: fmt::Arguments<'_>| {
            log.write(NGX_LOG_EMERG, reason);
            NGX_ERROR as ngx_int_t
        };
        let change = old.map(|old| T::may_change(&name, &old.settings, &declared.settings));
        if let Some(Err(reason)) = change {
            return refuse(format_args!("{reason}"));
        }
        let Some(structure) = mapped::<T>(pool, &name, log) else {
            return refuse(format_args!("zone \"{name}\" is too small"));
        };
        if let Err(reason) = structure.fits(&name, &declared.settings) {
            return refuse(format_args!("{reason}"));
        }
        declared.structure = Some(structure);
        NGX_OK as ngx_int_t
    })
}

/// Opens what an earlier configuration has left in the pool, else takes all of it and formats it.
fn mapped<T: Shared>(pool: *mut ngx_slab_pool_t, name: &ngx_str_t, log: Log) -> Option<T> {
    // SAFETY: the pool is mapped and set up. `data` is ours: null in fresh memory, else the start of a
    // region that begins with its length in bytes (see below), and all access is by atomic words.
    unsafe {
        if let Some(region) = NonNull::new((*pool).data.cast::<u8>()) {
            let bytes = region.cast::<usize>().read();
            let kept = T::open(payload(region, bytes));
            if kept.is_none() {
                let directive = T::DIRECTIVE;
                let message = format_args!("{directive} \"{name}\" has another layout, emptied");
                log.write(NGX_LOG_WARN, message);
            }
            return kept.or_else(|| T::create(payload(region, bytes)));
        }
        let bytes = (*pool).pfree * nginx_sys::ngx_pagesize;
        let region = NonNull::new(ngx_slab_alloc(pool, bytes).cast::<u8>())?;
        region.cast::<usize>().write(bytes);
        (*pool).data = region.as_ptr().cast();
        T::create(payload(region, bytes))
    }
}

/// A cache line at the start of a region holds its length; the rest is the structure's.
const LENGTH: usize = 64;

/// # Safety
/// `region` is `bytes` long, page-aligned, mapped as long as the configuration runs, and beyond
/// its first cache line only touched through atomic words.
unsafe fn payload(region: NonNull<u8>, bytes: usize) -> &'static [Word] {
    // SAFETY: the caller vouches for it.
    unsafe { words(region.add(LENGTH), bytes - LENGTH) }
}
