//! The executable that the crate's tests start: the sandbox helper and the interpreter, as the real one is.

fn main() {
    #[cfg(target_os = "linux")]
    helper_linux::run_if_helper();
    javascript::run_if_interpreter();
}
