# SPDX-License-Identifier: GPL-2.0
"""Every version and package name that the workspace asks for, in one place."""

# The series of the kernel that the backend is for, and the suites that may
# carry the package of its source, in the order tried. The first series is used
# unless KERNEL= names another; what an older one lacks is in kernels/.
KERNEL_SERIES = {
    "7.3": ("trixie-backports", "forky", "forky-backports", "sid"),
    "7.2": ("forky", "sid"),
}

# The suites whose kernels the module may be built for: KERNEL=stock takes the
# newest that is of a series above.
DISTRIBUTION_SUITES = ("sid", "forky")

# The series of the QEMU that emulates the host: Debian 12 has it in its
# backports, and Debian 13 in its main suite.
HOST_QEMU = "10.0"

# The series of QEMU that guests are run under in the host, and the suite of
# Debian that it is taken from, with the rest of the host's user space. The
# first is used unless GUEST_QEMU= names another. It is that of the stable
# release, where a series stays; in forky, it is replaced sooner or later.
GUEST_QEMU = {"10.0": "trixie", "11.1": "forky"}
GUEST_ARCHITECTURE = "riscv64"
GUEST_PACKAGES = ("qemu-system-riscv", "busybox-static", "u-boot-qemu",
                  "qemu-efi-riscv64", "dash", "dpkg", "kmod", "tar")

# What manages guests in a host, besides QEMU itself.
LIBVIRT_PACKAGES = ("libvirt-clients", "libvirt-daemon",
                    "libvirt-daemon-driver-qemu", "qemu-system-riscv")

# What looks at a host and at a guest from outside of KVM.
TOOLS_PACKAGES = ("linux-perf", "trace-cmd")

BINDGEN_VERSION = "0.72.1"
CARGO_MUTANTS_VERSION = "27.1.0"

# Oldest versions that can build this kernel.
MINIMUM = {
    "rustc": (1, 85),
    "bindgen": (0, 71, 1),
    "clang": (17,),
}

COMMON_PACKAGES = (
    "bc", "bison", "ca-certificates", "cpio", "device-tree-compiler",
    "e2fsprogs", "flex", "gcc", "gcc-riscv64-linux-gnu", "kmod", "libc6-dev",
    "libc6-dev-riscv64-cross", "libelf-dev", "libssl-dev", "make", "perl",
    "python3-pexpect", "python3-pytest", "rsync", "xz-utils",
)

# For the drawing that a benchmark ends with, and nothing else.
BENCH_PACKAGES = ("python3-matplotlib",)

# For the pages as HTML. Without graphviz, the kernel's set-up of Sphinx warns.
DOCS_PACKAGES = ("graphviz", "python3-sphinx", "python3-yaml")

# For the module: where its compiler has to be unpacked.
MODULE_PACKAGES = ("cpio", "patchelf", "xz-utils")

# For the packages of the module.
DEB_PACKAGES = ("debhelper", "dh-dkms", "dpkg-dev", "git", "lintian")

# For the series of patches.
SERIES_PACKAGES = ("git",)

# What differs from one Debian release to another: the toolchain's packages,
# the suffix that the kernel's LLVM= takes, and the suite that has a recent
# enough QEMU when the release itself does not.
RELEASES = {
    "bookworm": {
        "packages": (
            "clang-19", "lld-19", "llvm-19", "libclang-19-dev",
            "rustc-web", "rust-web-src", "rust-web-clippy", "rustfmt-web",
        ),
        "qemu_packages": (
            "qemu-system-riscv", "qemu-system-common", "qemu-system-data",
            "opensbi",
        ),
        "llvm": "-19",
        "qemu_suite": "bookworm-backports",
        "cargo_package": "cargo-web",
    },
}
NEWER_RELEASE = {
    "packages": (
        "clang", "lld", "llvm", "libclang-dev",
        "rustc", "rust-src", "rust-clippy", "rustfmt", "bindgen",
    ),
    "qemu_packages": ("qemu-system-riscv", "opensbi"),
    "llvm": "1",
    "qemu_suite": None,
    "cargo_package": "cargo",
}

# Debian's names for its suites: an apt source that uses one of them is
# taken for a mirror of Debian.
SUITE_NAMES = ("bookworm", "trixie", "forky", "sid", "oldstable", "stable",
               "testing", "unstable")
