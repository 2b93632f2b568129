//! The allocator of the program.
//!
//! A sync moves documents from thread to thread, which leaves the allocator of the system with memory
//! that it does not give back. This one does, and is told to do so soon: what is free is returned after
//! 10 ms and not after a second, which keeps the peak of a sync at the memory it uses.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in `mimalloc.h` of mimalloc 3, in milliseconds; the bindings do not name it.
const PURGE_DELAY: mi_option_t = 15;
const SOON: std::ffi::c_long = 10;

/// Has free memory returned soon, unless `MIMALLOC_PURGE_DELAY` says otherwise.
#[expect(
    unsafe_code,
    reason = "an option of the allocator can only be set by a call of its C interface; it reads and writes one number"
)]
pub(crate) fn return_memory_soon() {
    // SAFETY: mimalloc is linked in, and the option is one of those it has (checked by the test below).
    unsafe { mi_option_set_default(PURGE_DELAY, SOON) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "reads an option of the allocator")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: as above.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // The default of mimalloc 3, and of no other option.
        assert_eq!(delay(), 1000);
        return_memory_soon();
        assert_eq!(delay(), SOON);
    }
}
