// SPDX-License-Identifier: GPL-2.0

//! Tells the linker the address of each program. Cargo runs it in this directory.

fn main() {
    // The firmware has the first 2 MiB of RAM. QEMU loads the next stage behind them.
    for (program, address) in [("nacl-sbi", "0x80000000"), ("chapter15", "0x80200000")] {
        println!("cargo:rustc-link-arg-bin={program}=-Tlink.ld");
        println!("cargo:rustc-link-arg-bin={program}=--defsym=load_address={address}");
    }
    println!("cargo:rerun-if-changed=link.ld");
}
