//! What the store promises, tested through its handle.

mod blobs;
mod damage;
mod fixture;
mod index;
mod log;
mod pages;
mod usage;
