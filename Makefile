# SPDX-License-Identifier: GPL-2.0
#
# Every target is a small Python program below tools/; see tools/workspace/ for
# what it does, and `make help` for what there is.

PYTHON := tools/workspace/python
WORKSPACE := $(PYTHON) -m workspace
HARNESS := $(PYTHON) -m harness

.DEFAULT_GOAL := help
.NOTPARALLEL:

WORKSPACE_TARGETS := tree rust-analyzer stats lint disassemble docs series \
		     module deb clean distclean
HARNESS_TARGETS := run shell test logic mutants
.PHONY: help bench budget $(WORKSPACE_TARGETS) $(HARNESS_TARGETS)

# Settings given on the command line of make reach the programs through the
# environment.
$(WORKSPACE_TARGETS):
	@$(WORKSPACE) $@

$(HARNESS_TARGETS):
	@$(HARNESS) $@

bench:
	@$(PYTHON) -m bench

budget:
	@$(PYTHON) -m bench.budget $(CASES)

help:
	@echo 'A RISC-V KVM backend for Linux, written in Rust. Targets:'
	@echo
	@echo '  run            build all, boot the host, boot a Linux guest under kvm.ko in it'
	@echo '  shell          the same, with a shell on the host'
	@echo '  test           logic tests, guests, selftests and module reloads, both backends'
	@echo '  logic          the tests that need no kernel, alone'
	@echo '  mutants        makes the backend wrong in many ways, and says which test notices'
	@echo '  bench          what an exit costs, Rust against C'
	@echo '  budget         what an exit is spent on, instruction by instruction'
	@echo '  stats          which room imports from which, how much of the code may be unsafe,'
	@echo '                 what kvm.ko is linked from'
	@echo '  lint           imports, unsafe code and width of lines; whether parity.rst is'
	@echo '                 whole; formatting; clippy'
	@echo '  disassemble    the world switch as the hart executes it'
	@echo '  docs           the pages as HTML, and rustdoc of the abstractions: build/docs'
	@echo '  module         kvm.ko for a kernel of a distribution: build/kvm.ko'
	@echo '  deb            packages of it for Debian, for DKMS and for one kernel: build/packages'
	@echo '  series         the project as patches against the kernel: build/series'
	@echo '  tree           the kernel source with the project laid over it: build/tree'
	@echo '  rust-analyzer  the project file for editors, at the top of that tree'
	@echo '  clean          remove what was built; keep what was downloaded'
	@echo '  distclean      remove that, too'
	@echo
	@echo 'Settings, as in `make run SMP=4 CPU=max`:'
	@echo
	@echo '  BACKEND=rust|c     the kvm.ko to build and load (test: only that one)'
	@echo '  SMP=1..8           vCPUs of the guest; default 1'
	@echo '  HOST_SMP=1..8      harts of the host; default 2'
	@echo '  CPU=rv64|max       the CPU of the host, by its QEMU name'
	@echo '  MACHINE=virt       the machine of the host, by its QEMU name'
	@echo '  GUEST_MACHINE=virt run: the machine of the guest, such as virt,aia=aplic-imsic and'
	@echo '                     virt,aia=aplic-imsic,kernel_irqchip=split'
	@echo '  NACL=none|all|...  SBI nested acceleration, with these features of sync_csr,'
	@echo '                     sync_hfence, sync_sret and autoswap_csr, joined by +'
	@echo '  GUEST_QEMU=        the QEMU of the guests: 10.0 (default) or 11.1; the series'
	@echo '                     are those of tools/workspace/pins.py'
	@echo '  KERNEL=            the series of the kernel: 7.3 (default) or 7.2; run, shell, test,'
	@echo "                     bench, module: stock (Debian's newest), the version of one of its"
	@echo '                     kernels, installed (the running one), or a directory of headers'
	@echo '  KERNEL_SRC=        a kernel tree to copy, instead of the Debian package'
	@echo '  KERNEL_TARBALL=    a kernel tarball to unpack instead'
	@echo '  CACHE=             downloads, kernel and objects; default ~/.cache/kvm-riscv-rust'
	@echo '  JOBS=              parallel compilations; default one for each CPU'
	@echo '  WORKERS=           test: hosts at a time, each of up to 4 GB; default one for each'
	@echo '                     CPU, but 2 at most'
	@echo '  TIMEOUT_FACTOR=    how much longer every time-out is, on a slow machine'
	@echo '  TESTS=EXPR         test: only those whose names match, as in'
	@echo "                     TESTS='rust-rv64 and mmio_test'"
	@echo "  ONE=NAME           mutants: only those, as in ONE='mmio-*'; ONE=logic: those of the"
	@echo '                     logic that needs no kernel'
	@echo '  CASES=NAMES        budget: those of tools/testing/bench/exit_cost/cases.c, as in'
	@echo "                     CASES='msi irqfd'"
	@echo '  BUILD=1            series: compile after each patch; 6 minutes or more'
	@echo '  FULL=1             test: all iterations of what is long; takes two hours'
