//! What differs between operating systems, one file each. Windows follows with its own file.

#[cfg(unix)]
mod process;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use process::Process;
#[cfg(unix)]
pub(crate) use unix::{
    SocketWatch, bind, check_peer, check_socket_owner, connect, create_private_folder, inherited,
    is_of_this_namespace, is_private_folder, own_file, own_folder, runtime_dir, user,
};
