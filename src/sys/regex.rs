//! The regular expressions of the C library, which util-linux uses for the filters of lsns(8).

use std::ffi::{CStr, CString, c_int};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A POSIX extended regular expression (regcomp(3)).
pub(crate) struct Regex(libc::regex_t);

impl Regex {
    const DEEPEST: usize = 1000;

    /// Err: the message of the C library. A NUL ends the pattern, as in C.
    pub(crate) fn new(pattern: &str) -> Result<Regex, String> {
        // The regcomp of glibc recurses at each of them, without a limit.
        if pattern.bytes().filter(|byte| *byte == b'(').count() > Self::DEEPEST {
            return Err(regex_error(libc::REG_ESPACE));
        }
        let mut regex = std::mem::MaybeUninit::uninit();
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: the pattern is a C string; regcomp fills in the regex it is given.
        match unsafe { libc::regcomp(regex.as_mut_ptr(), c_string(pattern).as_ptr(), flags) } {
            // SAFETY: on success regcomp has filled it in.
            0 => Ok(Regex(unsafe { regex.assume_init() })),
            code => Err(regex_error(code)),
        }
    }

    #[must_use]
    pub(crate) fn matches(&self, text: &str) -> bool {
        // SAFETY: a compiled regex and a C string; with room for 0 matches, none are written.
        unsafe { libc::regexec(&raw const self.0, c_string(text).as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: regcomp has made it, and nothing uses it after this.
        unsafe { libc::regfree(&raw mut self.0) }
    }
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Regex")
    }
}

/// From now on the regexes of this thread treat a UTF-8 character as one character. The C library has this locale
/// built in, so no file of the host is read.
pub(crate) fn utf8_letters() {
    static LOCALE: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
    let mut locale: libc::locale_t = LOCALE.load(Ordering::Acquire).cast();
    if locale.is_null() {
        // SAFETY: the name is a C string; null asks for a new locale.
        locale = unsafe { libc::newlocale(libc::LC_CTYPE_MASK, c"C.UTF-8".as_ptr(), std::ptr::null_mut()) };
        LOCALE.store(locale.cast(), Ordering::Release);
    }
    if !locale.is_null() {
        // SAFETY: newlocale has made it, and it is never freed, so it outlives its use.
        unsafe { libc::uselocale(locale) };
    }
}

fn regex_error(code: c_int) -> String {
    let mut text = [0_u8; 256];
    // SAFETY: regerror writes at most the length it is given, and a NUL; it needs no regex for the message.
    unsafe { libc::regerror(code, std::ptr::null(), text.as_mut_ptr().cast(), text.len()) };
    CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned()
}

/// The text up to the first NUL.
fn c_string(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}
