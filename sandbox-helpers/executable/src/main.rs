//! The sandbox helper by itself: what the large executable is too, without all the rest, so that starting it for each
//! command is cheap. The daemon takes it where it stands beside the executable and holds the same helper.

fn main() {
    helper_linux::run();
}
