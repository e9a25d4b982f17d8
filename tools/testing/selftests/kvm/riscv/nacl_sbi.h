/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What user space can ask of tools/testing/nacl-sbi, the firmware below the host
 * (its backdoor.rs). The host's kernel is not involved.
 */
#ifndef SELFTEST_KVM_RISCV_NACL_SBI_H
#define SELFTEST_KVM_RISCV_NACL_SBI_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/types.h>

/* Features of SBI nested acceleration, a bit each. */
#define NACL_SYNC_CSR		(1 << 0)
#define NACL_SYNC_HFENCE	(1 << 1)
#define NACL_SYNC_SRET		(1 << 2)
#define NACL_AUTOSWAP_CSR	(1 << 3)

/* Functions of SBI nested acceleration. */
enum nacl_function {
	NACL_PROBE_FEATURE,
	NACL_SET_SHMEM,
	NACL_DO_SYNC_CSR,
	NACL_DO_SYNC_HFENCE,
	NACL_DO_SYNC_SRET,
	NACL_FUNCTIONS,
};

/* What is counted besides SBI calls and CSRs: `Event` of counters.rs. */
enum nacl_event {
	NACL_SRET,
	NACL_GUEST_EXIT,
	NACL_HFENCE_GVMA,
	NACL_HFENCE_VVMA,
	NACL_HLV,
	NACL_HLVX,
	NACL_HSV,
	NACL_CSR_SYNCHRONIZED,
	NACL_HFENCE_SYNCHRONIZED,
	NACL_AUTOSWAP,
	NACL_STOPPED_WITH_SHMEM,
	NACL_SHMEM_NOT_CLEAN,
	NACL_VVMA_OF_ANOTHER_VMID,
	NACL_VVMA_AHEAD_OF_HGATP,
	/* SBI calls, of all extensions. */
	NACL_ALL_CALLS,
	/* Changes of hgatp, or of henvcfg's PBMTE or ADUE, while vsatp is not zero. */
	NACL_CHANGE_UNDER_VSATP,
};

/* What can be made to go wrong besides the functions: `Misuse` of misuse.rs. */
enum nacl_misuse {
	NACL_HFENCES_STAY = NACL_FUNCTIONS,
	NACL_SCRIBBLE,
	NACL_CSR_GARBAGE,
	NACL_SRET_FAILS_LATE,
	NACL_SRET_RETURNS,
	NACL_SPV_STANDS,
	NACL_NO_HTINST,
	NACL_FORGET_SHMEM,
	NACL_NR_MISUSES,
};

/* The row of the extension among the calls that are counted. */
#define NACL_ROW		7

static inline __u64 nacl_sbi(__u64 function, __u64 index, __u64 argument)
{
	register __u64 a0 asm("a0") = function | index << 8;
	register __u64 a1 asm("a1") = argument;

	/* An H CSR, hgeie. Without that firmware, an illegal instruction. */
	asm volatile("csrrw a0, 0x607, a0" : "+r"(a0) : "r"(a1) : "memory");
	return a0;
}

static inline bool nacl_sbi_is_there(void)
{
	static char line[4096];
	int fd;

	if (!line[0]) {
		fd = open("/proc/cmdline", O_RDONLY);
		if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
			strcpy(line, "unknown");
		if (fd >= 0)
			close(fd);
	}
	return strstr(line, "nacl_sbi.features=");
}

static inline __u64 nacl_features(void)
{
	return nacl_sbi(0, 0, 0);
}

static inline __u64 nacl_event(enum nacl_event event)
{
	return nacl_sbi(1, event, 0);
}

static inline __u64 nacl_calls(enum nacl_function function)
{
	return nacl_sbi(2, NACL_ROW << 8 | function, 0);
}

/* The CSRs that the firmware has. */
static const __u16 nacl_h_csrs[] = {
	0x200, 0x204, 0x205, 0x240, 0x241, 0x242, 0x243, 0x244, 0x24d, 0x250,
	0x280, 0x600, 0x602, 0x603, 0x604, 0x605, 0x606, 0x607, 0x608, 0x609,
	0x60a, 0x60c, 0x60d, 0x60e, 0x60f, 0x643, 0x644, 0x645, 0x646, 0x647,
	0x64a, 0x680, 0xe12,
};

#define NACL_NR_H_CSRS	(sizeof(nacl_h_csrs) / sizeof(*nacl_h_csrs))

/* Instructions that read, or wrote, a CSR. */
static inline __u64 nacl_csr_accesses(__u64 csr)
{
	return nacl_sbi(3, csr, 0) + nacl_sbi(4, csr, 0);
}

static inline __u64 nacl_all_csr_accesses(void)
{
	__u64 sum = 0;
	unsigned int i;

	for (i = 0; i < NACL_NR_H_CSRS; i++)
		sum += nacl_csr_accesses(nacl_h_csrs[i]);
	return sum;
}

/* Fences by instruction. */
static inline __u64 nacl_hfences(void)
{
	return nacl_event(NACL_HFENCE_GVMA) + nacl_event(NACL_HFENCE_VVMA);
}

/* The address of a hart's shared memory, or zero. */
static inline __u64 nacl_shmem(__u64 hart)
{
	return nacl_sbi(5, hart, 0);
}

#define NACL_HARTS		8
/* The word of shared memory that has HSTATUS swapped. */
#define NACL_AUTOSWAP_FLAGS	(0x200 / 8)

/* A word of a hart's shared memory, or all ones if there is none. */
static inline __u64 nacl_word(__u64 hart, __u64 word)
{
	return nacl_sbi(7, hart, word);
}

/* The hart that this runs on. */
static inline __u64 nacl_this_hart(void)
{
	return nacl_sbi(8, 0, 0);
}

/* How often a hart has entered a guest. */
static inline __u64 nacl_guest_entries(__u64 hart)
{
	return nacl_sbi(9, hart, 0);
}

/* The VMID of the guest that a hart has entered last. */
static inline __u64 nacl_guest_vmid(__u64 hart)
{
	return nacl_sbi(10, hart, 0);
}

/* How many fences a hart has carried out, or left. The last hundred can be looked at. */
static inline __u64 nacl_fences(__u64 hart)
{
	return nacl_sbi(11, hart, 0);
}

enum nacl_fence_how {
	NACL_BY_INSTRUCTION,
	NACL_BY_QUEUE,
	NACL_BY_CALL,
	/* Not done: it is in the queue still. */
	NACL_LEFT,
	NACL_BY_HINVAL,
};

enum nacl_fence_kind {
	NACL_GVMA,
	NACL_VVMA,
};

/* What a fence that is about all of them has for VMID, ASID, or address. */
#define NACL_ANY		(~0ULL)

/* A fence that was carried out: the words of fence_log.rs. */
struct nacl_fence {
	__u64 how;
	__u64 kind;
	__u64 vmid;
	__u64 asid;
	__u64 address;
	__u64 bytes;
	/* How often the hart had entered a guest by then. */
	__u64 entries;
};

static inline struct nacl_fence nacl_get_fence(__u64 hart, __u64 number)
{
	struct nacl_fence fence;
	__u64 *words = (__u64 *)&fence;
	unsigned int i;

	for (i = 0; i < sizeof(fence) / sizeof(*words); i++)
		words[i] = nacl_sbi(12, hart << 8 | i, number);
	return fence;
}

/* Has something go wrong so many times. Returns how often it was still to. */
static inline __u64 nacl_misuse(__u64 what, __u64 times)
{
	return nacl_sbi(6, what, times);
}

/* Has all go well so many times before that. Returns how often it was still to. */
static inline __u64 nacl_misuse_skip(__u64 what, __u64 times)
{
	return nacl_sbi(13, what, times);
}

#endif
