/* SPDX-License-Identifier: GPL-2.0 */
/* A VM whose interrupt controller is in the kernel. */
#ifndef EXIT_COST_AIA_H
#define EXIT_COST_AIA_H

/* Guest physical layout, plain numbers: the assembler reads them. */
#define APLIC_GPA		0x0c000000
#define APLIC_SETIPNUM		0x0c001cdc
#define IMSIC_GPA		0x28000000
#define IMSIC_OF_OTHER		0x28001000
/* The wire, and the interrupt of the other vCPU that it leads to. */
#define WIRE			5
#define IDENTITY		7

/* siselect, sireg, stopei. */
#define SELECT_EIDELIVERY	"li t0, 0x70; csrw 0x150, t0"
#define SELECT_EIE0		"li t0, 0xc0; csrw 0x150, t0"
#define ENABLE_FILE							\
	SELECT_EIDELIVERY "; li t0, 1; csrw 0x151, t0; "		\
	SELECT_EIE0 "; li t0, -2; csrw 0x151, t0"
#define CLAIM			"csrrw zero, 0x15c, zero"

/* Before the vCPUs run; return why this host cannot have it, or NULL. */
const char *set_up_aia(void);
const char *set_up_aia_with_files(void);

/* Each does something a number of times, from outside of the guest. */
void signal_msis(unsigned int rounds);
void signal_irqfd(unsigned int rounds);
void pulse_wire(unsigned int rounds);

const char *begin_irqfd(void);
const char *begin_msi_sleeper(void);
/* That the other vCPU has the interrupt; takes it away. */
void take_msi_of_other(unsigned int msis);

#endif /* EXIT_COST_AIA_H */
