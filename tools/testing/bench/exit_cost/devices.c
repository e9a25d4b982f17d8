// SPDX-License-Identifier: GPL-2.0
/* An ioeventfd, and a zone of coalesced MMIO. Each must get all its stores. */
#include <err.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices.h"
#include "guest.h"
#include "vm.h"

static int event;
static struct kvm_coalesced_mmio_ring *ring;

const char *begin_ioeventfd(void)
{
	struct kvm_ioeventfd device = {
		.addr = IOEVENTFD_GPA,
		.len = 4,
	};

	event = eventfd(0, EFD_NONBLOCK);
	if (event < 0)
		err(1, "eventfd");
	device.fd = event;
	must_ioctl(vm_fd, KVM_IOEVENTFD, &device, "KVM_IOEVENTFD");
	return NULL;
}

void check_ioeventfd(unsigned int stores)
{
	uint64_t events = 0;

	/* Nothing to be read is no error, but no event. */
	if (read(event, &events, sizeof(events)) < 0 && errno != EAGAIN)
		err(1, "read of an eventfd");
	if (events != stores)
		errx(1, "%u stores to the ioeventfd were %llu events", stores,
		     (unsigned long long)events);
}

const char *begin_coalesced(void)
{
	struct kvm_coalesced_mmio_zone zone = {
		.addr = COALESCED_GPA,
		.size = PAGE_SIZE,
	};
	int page = must_ioctl(vm_fd, KVM_CHECK_EXTENSION,
			      (void *)KVM_CAP_COALESCED_MMIO,
			      "KVM_CHECK_EXTENSION");

	if (!page)
		errx(1, "KVM has no coalesced MMIO");
	ring = (void *)vcpus[0].run + page * PAGE_SIZE;
	must_ioctl(vm_fd, KVM_REGISTER_COALESCED_MMIO, &zone,
		   "KVM_REGISTER_COALESCED_MMIO");
	return NULL;
}

void check_coalesced(unsigned int stores)
{
	unsigned int found = 0;

	for (; ring->first != ring->last;
	     ring->first = (ring->first + 1) % KVM_COALESCED_MMIO_MAX) {
		struct kvm_coalesced_mmio *store =
			&ring->coalesced_mmio[ring->first];

		if (store->phys_addr == COALESCED_GPA && store->len == 4)
			found++;
	}
	if (found != stores)
		errx(1, "of %u coalesced stores, %u are in the ring", stores,
		     found);
}
