// SPDX-License-Identifier: GPL-2.0
/*
 * VMIDs run out, with kvm.vmid_bits=2: VMs get them again, and each hart forgets
 * what it has cached under them.
 */
#include "nacl_guest.h"

/* More than twice as many as there are VMIDs. */
#define NR_VMS		8
#define VMIDS		3

struct place {
	u64 hart, fences;
};

/*
 * Whether a hart has forgotten all guest physical addresses of all VMIDs, by a
 * fence from number `n` on.
 */
static bool forgets_all(u64 hart, u64 n)
{
	struct nacl_fence fence;

	for (; n < nacl_fences(hart); n++) {
		fence = nacl_get_fence(hart, n);
		if (fence.kind == NACL_GVMA && fence.vmid == NACL_ANY &&
		    fence.address == NACL_ANY)
			return true;
	}
	return false;
}

/* Whether a hart forgets all that it has cached under a VMID before it enters a guest. */
static bool forgets_vmid(u64 hart, enum nacl_fence_kind kind, u64 n, u64 entries)
{
	struct nacl_fence fence;

	for (; n < nacl_fences(hart); n++) {
		fence = nacl_get_fence(hart, n);
		if (fence.entries == entries && fence.kind == kind &&
		    fence.vmid == nacl_guest_vmid(hart) &&
		    fence.asid == NACL_ANY && fence.address == NACL_ANY)
			return true;
	}
	return false;
}

TEST_F(nacl, new_generation)
{
	struct kvm_vcpu *vcpus[NR_VMS];
	struct kvm_vm *vms[NR_VMS];
	u64 last = -1UL, vmid, entries;
	struct place places[2];
	int i, turn, cpu, generations = 0;

	for (i = 0; i < NR_VMS; i++)
		vms[i] = vm_with_vcpus(1, guest_sbi_call, &vcpus[i]);
	for (cpu = 0; cpu < 2; cpu++)
		places[cpu].hart = hart_of_cpu(cpu);
	pin_self_to_cpu(0);
	/* The first turn gives each VM a VMID that is taken from it soon after. */
	for (turn = 0; turn < 2 * NR_VMS; turn++) {
		for (cpu = 0; cpu < 2; cpu++)
			places[cpu].fences = nacl_fences(places[cpu].hart);
		entries = nacl_guest_entries(self->hart);
		run_counted(vcpus[turn % NR_VMS], 1);
		vmid = nacl_guest_vmid(self->hart);
		TEST_ASSERT(vmid && vmid <= VMIDS, "VMID %lu", vmid);
		TEST_ASSERT(forgets_vmid(self->hart, NACL_GVMA, places[0].fences, entries) &&
			    forgets_vmid(self->hart, NACL_VVMA, places[0].fences, entries),
			    "turn %d: VMID %lu may be in use for another VM", turn, vmid);
		if (vmid < last) {
			generations++;
			for (cpu = 0; cpu < 2; cpu++)
				TEST_ASSERT(turn == 0 ||
					    forgets_all(places[cpu].hart, places[cpu].fences),
					    "turn %d: CPU %d does not forget old VMIDs",
					    turn, cpu);
		}
		last = vmid;
	}
	TEST_ASSERT(generations >= 2 * NR_VMS / VMIDS, "%d generations", generations);
	for (i = 0; i < NR_VMS; i++)
		kvm_vm_free(vms[i]);
}

TEST_HARNESS_MAIN
