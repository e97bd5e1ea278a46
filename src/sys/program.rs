//! The arguments and the environment of the program, and the promise that no other thread holds a lock.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

/// Was [`promise_no_locks`] called? Unit tests fork too: each runs in a thread of the test harness, whose other
/// threads neither use the environment nor hold a lock that the child takes (glibc handles the lock of its own
/// allocator).
static NO_LOCKS: AtomicBool = AtomicBool::new(cfg!(test));

/// Allows the calls that are unsound beside other threads: the forks and [`wipe_environment`]. Without this promise
/// they fail with EDEADLK.
///
/// # Safety
/// From now on no other thread of this process takes a lock that a forked child could wait for, except that of
/// [`super::memory::Allocator`], or uses the environment. A program that starts no thread keeps this.
pub unsafe fn promise_no_locks() {
    NO_LOCKS.store(true, Ordering::Relaxed);
}

/// EDEADLK if [`promise_no_locks`] was not called.
pub(super) fn no_locks() -> nix::Result<()> {
    if NO_LOCKS.load(Ordering::Relaxed) { Ok(()) } else { Err(Errno::EDEADLK) }
}

/// Did execve(2) give this program the rights of another user than the one who called it (set-user-ID, set-group-ID)? The
/// kernel has passed the ids beside the environment, so this needs no system call.
#[must_use]
pub(crate) fn acts_for_another() -> bool {
    // SAFETY: getauxval(3) reads what the kernel has passed.
    let id = |kind| unsafe { libc::getauxval(kind) };
    id(libc::AT_UID) != id(libc::AT_EUID) || id(libc::AT_GID) != id(libc::AT_EGID)
}

/// argv as Rust strings. `announce` gets the first one before memory is allocated.
///
/// # Safety
/// `argv` points to `argc` pointers to C strings, which nothing changes during this call.
#[must_use]
pub unsafe fn arguments(
    argc: c_int,
    argv: *const *const c_char,
    announce: impl FnOnce(&OsStr),
) -> Vec<OsString> {
    let argument = |index: usize| {
        // SAFETY: the caller promises that argv has argc entries, and `index` is below that.
        let entry = unsafe { argv.add(index) };
        // SAFETY: the entry is in that array, as before.
        let text = unsafe { *entry };
        // SAFETY: the caller promises that each entry is a C string.
        let text = unsafe { CStr::from_ptr(text) };
        OsStr::from_bytes(text.to_bytes())
    };
    let count = usize::try_from(argc).unwrap_or(0);
    if count > 0 {
        announce(argument(0));
    }
    (0..count).map(|index| argument(index).to_os_string()).collect()
}

mod list {
    use std::ffi::c_char;

    unsafe extern "C" {
        /// environ(7): a list of C strings that a null pointer ends, or a null pointer in place of the list.
        pub(super) static mut environ: *mut *mut c_char;
    }
}

/// Calls `work` for each entry of the environment: the place of its pointer, and the pointer.
///
/// # Safety
/// Nothing else uses the environment during this call. `work` changes no entry but the one that it gets.
unsafe fn each_entry(mut work: impl FnMut(*mut *mut c_char, *mut c_char)) {
    // SAFETY: the C library defines environ, and the caller promises that no other thread uses it.
    let mut next = unsafe { list::environ };
    while !next.is_null() {
        // SAFETY: the list goes on up to its null pointer, which was not reached yet.
        let entry = unsafe { *next };
        if entry.is_null() {
            return;
        }
        work(next, entry);
        // SAFETY: the entry was not the null pointer at the end, so one more follows.
        next = unsafe { next.add(1) };
    }
}

/// All entries of the environment, also those that are not `NAME=VALUE`, which std omits.
#[must_use]
pub(crate) fn environment() -> Vec<CString> {
    let mut entries = Vec::new();
    let copy = |_, entry: *mut c_char| {
        // SAFETY: each entry is a C string. It is copied before anything else runs.
        entries.push(unsafe { CStr::from_ptr(entry) }.to_owned());
    };
    // SAFETY: the environment is only read. To change it is unsafe (std::env::set_var, setenv(3)): who does so
    // promises that nothing reads it meanwhile.
    unsafe { each_entry(copy) };
    entries
}

/// Looks at the value of a variable without a copy of it: a copy could be seen in the memory of a later process, also
/// after it is freed.
pub(crate) fn with_variable<T>(name: &[u8], look: impl Fn(Option<&[u8]>) -> T) -> T {
    let mut result = None;
    let compare = |_, entry: *mut c_char| {
        // SAFETY: each entry is a C string, and nothing changes it during this call.
        let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
        let value = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"="));
        if let (Some(value), true) = (value, result.is_none()) {
            result = Some(look(Some(value)));
        }
    };
    // SAFETY: the environment is only read, as in `environment`.
    unsafe { each_entry(compare) };
    result.unwrap_or_else(|| look(None))
}

/// The program to execute.
pub(crate) enum Image<'a> {
    Path(&'a CStr),
    File(BorrowedFd<'a>),
}

/// execve(2) or execveat(2). Without `environment` the program gets that of this process, which is not copied. Returns
/// the errno.
pub(crate) fn execute(image: &Image<'_>, argv: &[CString], environment: Option<&[CString]>) -> Errno {
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|entry| entry.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let argv = pointers(argv);
    let chosen = environment.map(pointers);
    let own = || {
        // SAFETY: the C library defines environ. A caller that changes it promises that nothing reads it meanwhile, see
        // `environment`.
        let own = unsafe { list::environ };
        own.cast_const().cast::<*const c_char>()
    };
    let (argv, envp) = (argv.as_ptr(), chosen.as_ref().map_or_else(own, |list| list.as_ptr()));
    // Both lists consist of C strings and end with a null pointer, and live until the call returns. environ may also
    // be null, which the kernel takes for an empty list.
    match image {
        Image::Path(path) => {
            // SAFETY: the path is a C string; for the lists see above.
            unsafe { libc::execve(path.as_ptr(), argv, envp) };
        }
        Image::File(file) => {
            let (file, empty) = (file.as_raw_fd(), c"".as_ptr());
            // SAFETY: the descriptor is open and the path is a C string; for the lists see above.
            unsafe { libc::syscall(libc::SYS_execveat, file, empty, argv, envp, libc::AT_EMPTY_PATH) };
        }
    }
    Errno::last()
}

/// Overwrites the initial environment of this process, which is also its `/proc/PID/environ`, and removes all
/// entries.
pub(crate) fn wipe_environment() -> nix::Result<()> {
    no_locks()?;
    let wipe = |place: *mut *mut c_char, entry: *mut c_char| {
        // SAFETY: each entry is a C string.
        let length = unsafe { libc::strlen(entry) };
        // SAFETY: the string has this length, and is on the stack or the heap of this process, both writable. No
        // other thread reads it (see no_locks), and std copies what it hands out.
        unsafe { std::ptr::write_bytes(entry, 0, length) };
        // SAFETY: the place is that of the entry in the list, which is writable as well.
        unsafe { *place = std::ptr::null_mut() };
    };
    // SAFETY: no other thread uses the environment (see no_locks); only the entry at hand is changed.
    unsafe { each_entry(wipe) };
    Ok(())
}
