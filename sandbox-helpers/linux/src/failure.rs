//! Names the step that the kernel refused. Knows no steps.

use helper_protocol::report::Failure;
use rustix::io::Errno;

/// Turns an error number into a failure.
pub(crate) trait Step<T> {
    /// Says what was tried.
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::Setup { step: step.to_owned(), errno: errno.raw_os_error() })
    }
}
