//! The executable that this crate's tests use: what `skein` does first.

fn main() {
    rules::run_if_reader();
}
