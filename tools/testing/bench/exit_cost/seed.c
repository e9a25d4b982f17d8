// SPDX-License-Identifier: GPL-2.0
/* Whether the guest has the seed CSR: that of the Zkr extension. */
#include <err.h>
#include <errno.h>

#include "seed.h"
#include "vm.h"

/* The C library's headers may be older than Zkr in KVM. */
#define ISA_EXT_ZKR	31

const char *begin_seed(void)
{
	uint64_t has_zkr = 0;

	if (get_reg(&vcpus[0], KVM_REG_RISCV | KVM_REG_SIZE_U64 |
		    KVM_REG_RISCV_ISA_EXT | ISA_EXT_ZKR, &has_zkr) &&
	    errno != ENOENT)
		err(1, "KVM_GET_ONE_REG of Zkr");
	return has_zkr ? NULL : "the CPU has no Zkr; CPU=max has";
}
