// SPDX-License-Identifier: GPL-2.0
/*
 * Asks nacl-sbi for a number, or makes it fail: for tests that are not written
 * in C. Prints the number that nacl-sbi returns.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "nacl_sbi.h"

static const struct {
	const char *name;
	__u64 function;
} functions[] = {
	{ "features", 0 },
	{ "event", 1 },
	{ "calls", 2 },
	{ "csr-reads", 3 },
	{ "csr-writes", 4 },
	{ "shmem", 5 },
	{ "misuse", 6 },
	{ "word", 7 },
	{ "entries", 9 },
	{ "vmid", 10 },
	{ "fences", 11 },
	{ "fence", 12 },
	{ "skip", 13 },
};

int main(int argc, char *argv[])
{
	__u64 index = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	__u64 argument = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	size_t i;

	if (!nacl_sbi_is_there()) {
		fprintf(stderr, "The firmware is not nacl-sbi.\n");
		return 1;
	}
	for (i = 0; argc > 1 && i < sizeof(functions) / sizeof(*functions); i++) {
		if (!strcmp(argv[1], functions[i].name)) {
			printf("%#llx\n", nacl_sbi(functions[i].function, index,
						   argument));
			return 0;
		}
	}
	fprintf(stderr, "usage: nacl_sbi_ctl features|event|calls|csr-reads|"
			"csr-writes|shmem|misuse|word|entries|vmid|fences|"
			"fence|skip [INDEX [ARGUMENT]]\n");
	return 2;
}
