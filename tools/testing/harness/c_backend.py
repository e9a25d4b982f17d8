# SPDX-License-Identifier: GPL-2.0
"""What the C backend of Linux 7.3 does not do with SBI nested acceleration."""

from workspace.settings import nacl_features


def keeps_csrs(nacl):
    """Whether what it writes to shared memory ever takes effect: it is
    synchronized by the call that enters a guest, and by nothing else."""
    features = nacl_features(nacl)
    return "sync_csr" not in features or "sync_sret" in features


def keeps_fences(nacl):
    """Whether its fences are done: it queues them wherever there is NACL."""
    return {"sync_hfence", "sync_sret"} <= set(nacl_features(nacl))
