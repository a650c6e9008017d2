//! The sandbox helper by itself: what the large executable is too, without all the rest, so that starting it for each
//! command is cheap. The daemon takes it where it stands beside the executable and holds the same helper.

/// The allocator of musl asks the kernel for memory and gives it back many times in the millisecond that a start takes.
#[cfg(target_env = "musl")]
#[global_allocator]
static MEMORY: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() {
    helper_linux::run();
}
