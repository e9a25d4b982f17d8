// SPDX-License-Identifier: GPL-2.0

//! A supervisor that asks nacl-sbi for everything that chapter 15 of the SBI specification says, and
//! for what it says of bad arguments. To be given to QEMU as the kernel.
//!
//! The layout of the shared memory is written down here once more: what judges the firmware does
//! not share its mistakes.

#![no_std]
#![no_main]

use core::{
    arch::{asm, global_asm},
    fmt::{self, Write},
    panic::PanicInfo,
};
use sbi_rt::{
    nacl_probe_feature, nacl_set_shmem, nacl_sync_csr, nacl_sync_hfence, nacl_sync_sret, SbiRet,
    SharedPtr,
};

const ALL: usize = usize::MAX;
const SYNC_CSR: usize = 0;
const SYNC_HFENCE: usize = 1;
const SYNC_SRET: usize = 2;
const AUTOSWAP_CSR: usize = 3;

// Words of the shared memory.
const AUTOSWAP_FLAGS: usize = 0x200 / 8;
const AUTOSWAP_HSTATUS: usize = 0x208 / 8;
const HFENCES: usize = 0x800 / 8;
const DIRTY: usize = 0xf80 / 8;
const CSRS: usize = 0x1000 / 8;
const WORDS: usize = 0x3000 / 8;
const PENDING: u64 = 1 << 63;

const VSIE: usize = 0x204;
const VSSCRATCH: usize = 0x240;
const VSTVAL: usize = 0x243;
const HSTATUS: usize = 0x600;
const HIDELEG: usize = 0x603;
const HIE: usize = 0x604;
const HIP: usize = 0x644;
const HVIP: usize = 0x645;

const SPV: u64 = 1 << 7;
const SPVP: u64 = 1 << 8;

#[repr(C, align(4096))]
struct Memory([u64; WORDS]);

static mut FIRST: Memory = Memory([0; WORDS]);
static mut SECOND: Memory = Memory([0; WORDS]);

/// One of the two shared memories.
#[derive(Clone, Copy)]
struct Shmem(*mut u64);

impl Shmem {
    fn set(self) -> SbiRet {
        nacl_set_shmem(SharedPtr::new(self.0 as usize, 0), 0)
    }

    fn read(self, word: usize) -> u64 {
        // SAFETY: One of the two memories, and a word of it.
        unsafe { self.0.add(word).read_volatile() }
    }

    fn write(self, word: usize, value: u64) {
        // SAFETY: As in `read()`.
        unsafe { self.0.add(word).write_volatile(value) }
    }

    fn index(csr: usize) -> usize {
        (csr & 0xc00) >> 2 | csr & 0xff
    }

    fn csr(self, csr: usize) -> u64 {
        self.read(CSRS + Self::index(csr))
    }

    fn is_dirty(self, csr: usize) -> bool {
        let i = Self::index(csr);
        self.read(DIRTY + i / 64) >> (i % 64) & 1 != 0
    }

    fn write_csr(self, csr: usize, value: u64) {
        let i = Self::index(csr);
        self.write(CSRS + i, value);
        self.write(DIRTY + i / 64, self.read(DIRTY + i / 64) | 1 << (i % 64));
    }

    fn queue(self, entry: usize, kind: u64) {
        let words = HFENCES + 4 * entry;
        self.write(words + 1, 0x80200);
        self.write(words + 3, 3);
        self.write(words, PENDING | kind << 56 | 5 << 16 | 7);
    }

    fn clean(self) {
        for word in DIRTY..CSRS {
            self.write(word, 0);
        }
        for entry in 0..60 {
            self.write(HFENCES + 4 * entry, 0);
        }
    }

    fn is_pending(self, entry: usize) -> bool {
        self.read(HFENCES + 4 * entry) & PENDING != 0
    }
}

macro_rules! csr {
    (read $csr:literal) => {{
        let value: u64;
        // SAFETY: Reading it has no effect.
        unsafe { asm!(concat!("csrr {}, ", $csr), out(reg) value) };
        value
    }};
    (write $csr:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: Acts on guests only, of which there is none.
        unsafe { asm!(concat!("csrw ", $csr, ", {}"), in(reg) value) };
    }};
}

/// Counts what is not as it should be, and says so.
struct Judge {
    checked: usize,
    wrong: usize,
}

impl Judge {
    fn check(&mut self, what: &str, is_right: bool) {
        self.checked += 1;
        if !is_right {
            self.wrong += 1;
            print(format_args!("chapter15: wrong: {what}\n"));
        }
    }

    fn gives(&mut self, what: &str, ret: SbiRet, expected: SbiRet) {
        self.check(what, ret == expected);
        if ret != expected {
            print(format_args!("    {ret:?}, not {expected:?}\n"));
        }
    }
}

extern "C" fn main() -> ! {
    let mut judge = Judge {
        checked: 0,
        wrong: 0,
    };
    let first = Shmem((&raw mut FIRST).cast());
    let second = Shmem((&raw mut SECOND).cast());
    let has = |feature| nacl_probe_feature(feature as u32).value == 1;

    probe(&mut judge);
    no_memory(&mut judge, has);
    bad_memory(&mut judge);
    csr_space(&mut judge, first, second, has);
    if has(SYNC_CSR) {
        sync_csr(&mut judge, first);
    }
    if has(SYNC_HFENCE) {
        sync_hfence(&mut judge, first);
    }
    if has(SYNC_SRET) {
        sync_sret(&mut judge, first, has);
    }
    plain_sret(&mut judge, first, has);
    judge.gives("SET_SHMEM: disable", disable(), SbiRet::success(0));
    no_memory(&mut judge, has);

    let features = (0..4).fold(0, |all, f| all | usize::from(has(f)) << f);
    print(format_args!(
        "chapter15: features {features:#x}, {} checked, {} wrong\n",
        judge.checked, judge.wrong
    ));
    end(judge.wrong != 0)
}

fn disable() -> SbiRet {
    nacl_set_shmem(SharedPtr::new(ALL, ALL), 0)
}

fn probe(judge: &mut Judge) {
    for feature in [4, 5, 0x1000, u32::MAX] {
        let ret = nacl_probe_feature(feature);
        judge.gives("PROBE: no such feature", ret, SbiRet::success(0));
    }
}

/// What each function says before there is shared memory.
fn no_memory(judge: &mut Judge, has: impl Fn(usize) -> bool) {
    let expected = |feature| match has(feature) {
        true => SbiRet::no_shmem(),
        false => SbiRet::not_supported(),
    };
    judge.gives(
        "SYNC_CSR: no memory",
        nacl_sync_csr(ALL),
        expected(SYNC_CSR),
    );
    judge.gives(
        "SYNC_HFENCE: no memory",
        nacl_sync_hfence(ALL),
        expected(SYNC_HFENCE),
    );
    judge.gives(
        "SYNC_SRET: no memory",
        nacl_sync_sret(),
        expected(SYNC_SRET),
    );
}

fn bad_memory(judge: &mut Judge) {
    let set = |low, high, flags| nacl_set_shmem(SharedPtr::new(low, high), flags);
    let good = &raw mut FIRST as usize;
    let (param, address) = (SbiRet::invalid_param(), SbiRet::invalid_address());
    judge.gives("SET_SHMEM: flags", set(good, 0, 1), param);
    judge.gives("SET_SHMEM: flags to disable", set(ALL, ALL, 2), param);
    judge.gives("SET_SHMEM: not aligned", set(good + 8, 0, 0), param);
    judge.gives("SET_SHMEM: above XLEN", set(good, 1, 0), address);
    judge.gives("SET_SHMEM: the firmware", set(0x8000_0000, 0, 0), address);
    judge.gives(
        "SET_SHMEM: into the firmware",
        set(0x801f_f000, 0, 0),
        address,
    );
    judge.gives("SET_SHMEM: a device", set(0x1000_0000, 0, 0), address);
    judge.gives("SET_SHMEM: nothing", set(0x1000, 0, 0), address);
    judge.gives("SET_SHMEM: the end", set(ALL & !0xfff, 0, 0), address);
}

/// Where there is memory, it holds the CSRs, whatever they are written by.
fn csr_space(judge: &mut Judge, first: Shmem, second: Shmem, has: impl Fn(usize) -> bool) {
    // What is there stays, but for values that are not the host's.
    first.write_csr(VSSCRATCH, 99);
    first.queue(3, 1);
    csr!(write "vsscratch", 1);
    judge.gives("SET_SHMEM", first.set(), SbiRet::success(0));
    judge.check("what was dirty is so", first.is_dirty(VSSCRATCH));
    judge.check("what was pending is so", first.is_pending(3));
    judge.check("what was dirty is written", csr!(read "vsscratch") == 1);
    if has(SYNC_CSR) {
        judge.check("what was dirty keeps its value", first.csr(VSSCRATCH) == 99);
        judge.gives("SYNC_CSR", nacl_sync_csr(ALL), SbiRet::success(0));
        judge.check("what was dirty", csr!(read "vsscratch") == 99);
        csr!(write "vsscratch", 1);
    }
    if has(SYNC_HFENCE) {
        judge.gives("SYNC_HFENCE", nacl_sync_hfence(ALL), SbiRet::success(0));
        judge.check("what was pending", !first.is_pending(3));
    }
    first.clean();
    judge.check("CSR space at the start", first.csr(VSSCRATCH) == 1);
    csr!(write "vsscratch", 2);
    judge.check("CSR space after a write", first.csr(VSSCRATCH) == 2);
    judge.gives("SET_SHMEM: move", second.set(), SbiRet::success(0));
    judge.check("CSR space after a move", second.csr(VSSCRATCH) == 2);
    csr!(write "vsscratch", 3);
    judge.check("CSR space that was left", first.csr(VSSCRATCH) == 2);
    judge.check("CSR space that was taken", second.csr(VSSCRATCH) == 3);
    judge.gives("SET_SHMEM: and back", first.set(), SbiRet::success(0));
}

fn sync_csr(judge: &mut Judge, shmem: Shmem) {
    let param = SbiRet::invalid_param();
    judge.gives("SYNC_CSR: not H", nacl_sync_csr(0x140), param);
    judge.gives("SYNC_CSR: too large", nacl_sync_csr(0x1240), param);
    judge.gives("SYNC_CSR: no such CSR", nacl_sync_csr(0x6ff), param);

    shmem.write_csr(VSSCRATCH, 5);
    shmem.write_csr(VSTVAL, 6);
    judge.check("written too soon", csr!(read "vsscratch") == 3);
    judge.gives(
        "SYNC_CSR: one",
        nacl_sync_csr(VSSCRATCH),
        SbiRet::success(0),
    );
    judge.check("SYNC_CSR: value", csr!(read "vsscratch") == 5);
    judge.check("SYNC_CSR: dirty", !shmem.is_dirty(VSSCRATCH));
    judge.check("SYNC_CSR: another", shmem.is_dirty(VSTVAL));
    judge.check("SYNC_CSR: another's value", csr!(read "vstval") != 6);
    judge.gives("SYNC_CSR: all", nacl_sync_csr(ALL), SbiRet::success(0));
    judge.check("SYNC_CSR: all values", csr!(read "vstval") == 6);
    judge.check("SYNC_CSR: all dirty", !shmem.is_dirty(VSTVAL));

    // `vsie` is a part of `hie` as `hideleg` has it, and `hip` shows `hvip`.
    csr!(write "hideleg", 0);
    shmem.write_csr(VSIE, 0x222);
    shmem.write_csr(HIDELEG, 0x444);
    shmem.write_csr(HVIP, 0x4);
    judge.gives("SYNC_CSR: order", nacl_sync_csr(ALL), SbiRet::success(0));
    judge.check("order: vsie", csr!(read "vsie") == 0x222);
    judge.check("order: hie", shmem.csr(HIE) == 0x444);
    judge.check("order: hip", shmem.csr(HIP) == 0x4);
    // A value that the CSR does not take comes back as it is.
    shmem.write_csr(HVIP, !0);
    judge.gives("SYNC_CSR: WARL", nacl_sync_csr(HVIP), SbiRet::success(0));
    judge.check("WARL: hvip", shmem.csr(HVIP) == 0x444);
    for csr in [HVIP, VSIE] {
        shmem.write_csr(csr, 0);
    }
    judge.gives("SYNC_CSR: clear", nacl_sync_csr(ALL), SbiRet::success(0));
}

fn sync_hfence(judge: &mut Judge, shmem: Shmem) {
    let param = SbiRet::invalid_param();
    judge.gives("SYNC_HFENCE: too large", nacl_sync_hfence(60), param);
    // All types, and one that is reserved; the last place, too.
    let places = [0, 1, 2, 3, 4, 5, 6, 7, 30, 59];
    for (kind, place) in places.into_iter().enumerate() {
        shmem.queue(place, kind as u64);
    }
    judge.gives("SYNC_HFENCE: one", nacl_sync_hfence(59), SbiRet::success(0));
    judge.check("SYNC_HFENCE: done", !shmem.is_pending(59));
    judge.check(
        "SYNC_HFENCE: others",
        places[..9].iter().all(|&p| shmem.is_pending(p)),
    );
    judge.gives(
        "SYNC_HFENCE: all",
        nacl_sync_hfence(ALL),
        SbiRet::success(0),
    );
    judge.check(
        "SYNC_HFENCE: all done",
        !(0..60).any(|p| shmem.is_pending(p)),
    );
}

/// What the guest had in `x5` to `x31`, and what its trap has left.
#[repr(C)]
struct Stay {
    x: [u64; 32],
    scause: u64,
    sepc: u64,
}

impl Stay {
    fn new() -> Self {
        Self {
            x: [0; 32],
            scause: 0,
            sepc: 0,
        }
    }
}

/// How `enter()` does it.
const BY_SRET: usize = 0;
const BY_CALL: usize = 1;
/// What it returns if SRET has not left the host.
const NOT_LEFT: i64 = 1;

extern "C" {
    /// Enters a guest, and comes back with its ECALL or an interrupt. Returns zero, or if there was no
    /// entry [`NOT_LEFT`] or the error of the call.
    fn enter(stay: *mut Stay, how: usize) -> i64;
    static guest: u8;
}

global_asm!(
    ".pushsection .text",
    // The guest shows its registers as they are.
    ".align 2",
    ".globl guest",
    "guest:",
    "	ecall",
    // In the host, that was a question that does no harm.
    "	li	a0, {not_left}",
    "	j	2f",
    ".globl enter",
    "enter:",
    "	addi	sp, sp, -144",
    "	sd	ra, 0(sp)",
    "	sd	s0, 8(sp)",
    "	sd	s1, 16(sp)",
    "	sd	s2, 24(sp)",
    "	sd	s3, 32(sp)",
    "	sd	s4, 40(sp)",
    "	sd	s5, 48(sp)",
    "	sd	s6, 56(sp)",
    "	sd	s7, 64(sp)",
    "	sd	s8, 72(sp)",
    "	sd	s9, 80(sp)",
    "	sd	s10, 88(sp)",
    "	sd	s11, 96(sp)",
    "	sd	gp, 104(sp)",
    "	sd	tp, 112(sp)",
    "	sd	a0, 120(sp)",
    "	csrw	sscratch, sp",
    "	la	t0, 1f",
    "	csrrw	t0, stvec, t0",
    "	sd	t0, 128(sp)",
    "	la	t0, guest",
    "	csrw	sepc, t0",
    // sstatus.SPP: the guest begins in VS-mode.
    "	li	t0, 0x100",
    "	csrs	sstatus, t0",
    "	li	a7, 0x10",
    "	li	a6, 0",
    "	bnez	a1, 3f",
    "	sret",
    "3:	li	a7, 0x4e41434c",
    "	li	a6, 4",
    "	ecall",
    "	j	2f",
    ".align 2",
    "1:	csrrw	sp, sscratch, sp",
    "	sd	a0, -8(sp)",
    "	ld	a0, 120(sp)",
    "	.irp n, 5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "	sd	x\\n, 8*\\n(a0)",
    "	.endr",
    "	sd	x1, 8(a0)",
    "	sd	x3, 24(a0)",
    "	sd	x4, 32(a0)",
    "	csrr	t0, sscratch",
    "	sd	t0, 16(a0)",
    "	ld	t0, -8(sp)",
    "	sd	t0, 80(a0)",
    "	csrr	t0, scause",
    "	sd	t0, 256(a0)",
    "	csrr	t0, sepc",
    "	sd	t0, 264(a0)",
    "	li	a0, 0",
    "2:	ld	t0, 128(sp)",
    "	csrw	stvec, t0",
    "	ld	ra, 0(sp)",
    "	ld	s0, 8(sp)",
    "	ld	s1, 16(sp)",
    "	ld	s2, 24(sp)",
    "	ld	s3, 32(sp)",
    "	ld	s4, 40(sp)",
    "	ld	s5, 48(sp)",
    "	ld	s6, 56(sp)",
    "	ld	s7, 64(sp)",
    "	ld	s8, 72(sp)",
    "	ld	s9, 80(sp)",
    "	ld	s10, 88(sp)",
    "	ld	s11, 96(sp)",
    "	ld	gp, 104(sp)",
    "	ld	tp, 112(sp)",
    "	addi	sp, sp, 144",
    "	ret",
    ".popsection",
    not_left = const NOT_LEFT,
);

const ECALL_VS: u64 = 10;
const SOFTWARE_INTERRUPT: u64 = 1 << 63 | 1;

/// Puts in place what the guest needs, which has the host's addresses.
fn make_guest() {
    csr!(write "hgatp", 0);
    csr!(write "vsatp", 0);
    csr!(write "hedeleg", 0);
}

fn sync_sret(judge: &mut Judge, shmem: Shmem, has: impl Fn(usize) -> bool) {
    let host = csr!(read "hstatus");
    let mut stay = Stay::new();
    for x in 0..32 {
        shmem.write(x, 0x1000 + x as u64);
    }
    make_guest();
    csr!(write "vsscratch", 0x77);
    if has(AUTOSWAP_CSR) {
        shmem.write(AUTOSWAP_HSTATUS, host | SPV | SPVP);
        shmem.write(AUTOSWAP_FLAGS, 1);
    } else {
        csr!(write "hstatus", host | SPV | SPVP);
    }
    if has(SYNC_CSR) {
        shmem.write_csr(VSSCRATCH, 0x78);
    }
    if has(SYNC_HFENCE) {
        shmem.queue(11, 5);
    }

    // SAFETY: The guest is one instruction.
    let error = unsafe { enter(&mut stay, BY_CALL) };

    judge.check("SYNC_SRET: entry", error == 0);
    judge.check(
        "SYNC_SRET: registers",
        (1..32).all(|x| stay.x[x] == 0x1000 + x as u64),
    );
    judge.check("SYNC_SRET: scause", stay.scause == ECALL_VS);
    judge.check("SYNC_SRET: sepc", stay.sepc == &raw const guest as u64);
    if has(SYNC_CSR) {
        judge.check("SYNC_SRET: CSR", csr!(read "vsscratch") == 0x78);
        judge.check("SYNC_SRET: dirty", !shmem.is_dirty(VSSCRATCH));
    }
    if has(SYNC_HFENCE) {
        judge.check("SYNC_SRET: fence", !shmem.is_pending(11));
    }
    if has(AUTOSWAP_CSR) {
        let swapped = shmem.read(AUTOSWAP_HSTATUS);
        judge.check("autoswap: host's", csr!(read "hstatus") == host);
        judge.check("autoswap: CSR space", shmem.csr(HSTATUS) == host);
        judge.check("autoswap: guest's", swapped & (SPV | SPVP) == SPV | SPVP);
        shmem.write(AUTOSWAP_FLAGS, 0);
    } else {
        let trapped = shmem.csr(HSTATUS);
        judge.check("SYNC_SRET: hstatus", trapped & (SPV | SPVP) == SPV | SPVP);
        judge.check("SYNC_SRET: hstatus is one", csr!(read "hstatus") == trapped);
        csr!(write "hstatus", host);
    }
}

/// Has the software interrupt come as soon as interrupts are enabled.
fn raise_interrupt() {
    // SAFETY: They are disabled.
    unsafe { asm!("csrsi sie, 2", "csrsi sip, 2") };
}

/// Enables interrupts, takes that one, and returns from it.
fn take_interrupt() {
    // SAFETY: The handler uses no register.
    unsafe {
        asm!(
            "la {old}, 2f",
            "csrrw {old}, stvec, {old}",
            "csrsi sstatus, 2",
            "j 3f",
            ".align 2",
            "2:",
            "csrci sip, 2",
            "csrci sie, 2",
            "sret",
            "3:",
            "csrci sstatus, 2",
            "csrw stvec, {old}",
            old = out(reg) _,
        )
    };
}

/// SRET goes by the hart's `hstatus`, whatever waits in shared memory.
fn plain_sret(judge: &mut Judge, shmem: Shmem, has: impl Fn(usize) -> bool) {
    let host = csr!(read "hstatus");
    let mut stay = Stay::new();
    // SAFETY: The guest is one instruction.
    let enter = |stay: &mut Stay| unsafe { enter(stay, BY_SRET) };
    let spv = || csr!(read "hstatus") & SPV != 0;
    make_guest();

    judge.check("SRET: in the host", enter(&mut stay) == NOT_LEFT);
    csr!(write "hstatus", host | SPV | SPVP);
    judge.check("SRET: entry", enter(&mut stay) == 0);
    judge.check("SRET: scause", stay.scause == ECALL_VS);
    judge.check("SRET: hstatus after the trap", spv());
    judge.check("SRET: and again", enter(&mut stay) == 0);
    if has(SYNC_CSR) {
        shmem.write_csr(HSTATUS, host);
        judge.check("SRET: hstatus dirty", enter(&mut stay) == 0);
        judge.check("SRET: hstatus is clean", shmem.is_dirty(HSTATUS));
        judge.check("SRET: hstatus was written", spv());
        let ret = nacl_sync_csr(HSTATUS);
        judge.gives("SYNC_CSR: hstatus", ret, SbiRet::success(0));
        judge.check("SYNC_CSR: in the host", enter(&mut stay) == NOT_LEFT);
        csr!(write "hstatus", host | SPV | SPVP);
        judge.check("SRET: hstatus synchronized", enter(&mut stay) == 0);
    }

    // A trap of the host's own clears SPV.
    raise_interrupt();
    take_interrupt();
    judge.check("SRET: SPV after an interrupt", !spv());
    judge.check("SRET: CSR space", shmem.csr(HSTATUS) & SPV == 0);
    // So does the one for which the guest was left.
    csr!(write "hstatus", host | SPV | SPVP);
    raise_interrupt();
    judge.check("SRET: entry with an interrupt", enter(&mut stay) == 0);
    judge.check(
        "SRET: left by an interrupt",
        stay.scause == SOFTWARE_INTERRUPT,
    );
    judge.check("SRET: hstatus after the interrupt", spv());
    take_interrupt();
    judge.check("SRET: SPV after that interrupt", !spv());
    judge.check("SRET: back in the host", enter(&mut stay) == NOT_LEFT);
    csr!(write "hstatus", host);
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            sbi_rt::console_write_byte(byte);
        }
        Ok(())
    }
}

fn print(arguments: fmt::Arguments<'_>) {
    let _ = Console.write_fmt(arguments);
}

/// Ends QEMU, with a status that is not zero if something is wrong.
fn end(is_wrong: bool) -> ! {
    if is_wrong {
        sbi_rt::system_reset(sbi_rt::Shutdown, sbi_rt::SystemFailure);
    } else {
        sbi_rt::system_reset(sbi_rt::Shutdown, sbi_rt::NoReason);
    }
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("chapter15: {info}\n"));
    end(true)
}

extern "C" fn unexpected_trap(scause: u64, sepc: u64, stval: u64) -> ! {
    print(format_args!(
        "chapter15: a trap: scause {scause:#x}, sepc {sepc:#x}, stval {stval:#x}\n"
    ));
    end(true)
}

#[repr(C, align(16))]
struct Stack([u8; 0x4000]);

#[no_mangle]
static mut STACK: Stack = Stack([0; 0x4000]);

global_asm!(
    ".section .text.entry, \"ax\"",
    ".globl _start",
    "_start:",
    "	la	sp, STACK + {size}",
    "	la	t0, 0f",
    "	csrw	stvec, t0",
    "	call	{main}",
    // A trap that nobody expects.
    ".align 2",
    "0:	la	sp, STACK + {size}",
    "	csrr	a0, scause",
    "	csrr	a1, sepc",
    "	csrr	a2, stval",
    "	call	{trap}",
    size = const core::mem::size_of::<Stack>(),
    main = sym main,
    trap = sym unexpected_trap,
);
