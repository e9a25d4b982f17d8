# SPDX-License-Identifier: GPL-2.0
"""The table of the C backend's functions: what is found in it, on a small page."""

import pytest

from workspace import parity

SOURCE = """\
static int one(void)
{
	return two(1);
}

struct thing *three(struct kvm *kvm,
		    void (*call)(int), int i)
{
	if (i) {
	}
}

int declared(int i);
static const struct ops ops = { .call = one };
"""
PAGE = """\
.. list-table::

   * - C
     - Rust
   * - **file.c**: What it is.

       ``one``
     - ``vm.rs``
     - yes
   * - ``th*``
     - ``vm.rs``, ``rust/kernel/kvm.rs``
     - ``whatever``
"""
OURS = {"vm.rs", "rust/kernel/kvm.rs"}


def test_functions_of_a_file():
    assert parity.functions(SOURCE) == ["one", "three"]


def test_rows_of_a_page():
    assert parity.rows(PAGE) == [
        ("file.c", ["one"], ["vm.rs"]),
        ("file.c", ["th*"], ["vm.rs", "rust/kernel/kvm.rs"])]


def test_a_page_that_names_everything():
    assert not parity.complaints(PAGE, {"file.c": SOURCE}, OURS)


@pytest.mark.parametrize("before, after, said", (
    ("``one``", "``th*``", "file.c: no row has one"),
    ("``one``", "``one``, ``two``", "file.c: two stands for no function"),
    ("``th*``", "``three``, ``four*``", "file.c: four* stands for no function"),
    ("``vm.rs``,", "``vcpu.rs``,", "vcpu.rs: the project has no such file"),
    ("file.c", "gone.c", "gone.c: the kernel has no such file"),
    ("file.c", "gone.c", "file.c: there is no row"),
))
def test_what_is_wrong_is_found(before, after, said):
    page = PAGE.replace(before, after)
    assert said in parity.complaints(page, {"file.c": SOURCE}, OURS)
