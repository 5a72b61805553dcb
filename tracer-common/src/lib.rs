//! Shared by the kernel programs and userspace.
#![no_std]
