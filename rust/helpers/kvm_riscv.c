// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of RISC-V that its KVM backend needs. As in
 * kvm.c, none of them may call the KVM core.
 */

#include <linux/cpu_pm.h>
#include <linux/irqchip/riscv-imsic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>

#ifndef CONFIG_CPU_PM

__rust_helper int rust_helper_cpu_pm_register_notifier(struct notifier_block *nb)
{
	return cpu_pm_register_notifier(nb);
}

__rust_helper int rust_helper_cpu_pm_unregister_notifier(struct notifier_block *nb)
{
	return cpu_pm_unregister_notifier(nb);
}

#endif

#ifndef CONFIG_RISCV_IMSIC

__rust_helper const struct imsic_global_config *
rust_helper_imsic_get_global_config(void)
{
	return imsic_get_global_config();
}

#endif

/* What rust_helper_kvm_host_pages() says of a page, in the bits below its frame. */
#define HOST_PAGE_MAPPED	BIT(0)
#define HOST_PAGE_WRITABLE	BIT(1)
#define HOST_PAGE_YOUNG		BIT(2)

/*
 * The page that a leaf of the host's page tables maps, or 0 if it is not one
 * that a guest can have by looking at the leaf alone:
 *
 * - User space may access it. If it may write, it has done so, and the host need
 *   not be told that the page changes.
 * - get_user_pages_fast() would return it. What that refuses is memory that the
 *   kernel has not mapped; its mapping cannot be evicted.
 *
 * Bits of a leaf are the same at all levels.
 */
static __always_inline u64 host_page(pte_t leaf, unsigned long pfn)
{
	unsigned long need = _PAGE_PRESENT | _PAGE_READ | _PAGE_USER;
	unsigned long bits = pte_val(leaf);
	struct address_space *mapping;
	struct folio *folio;

	if ((bits & need) != need || pte_special(leaf))
		return 0;
	if (pte_write(leaf) && !pte_dirty(leaf))
		return 0;

	folio = page_folio(pfn_to_page(pfn));
	if (!folio_test_anon(folio)) {
		mapping = READ_ONCE(folio->mapping);
		if (!mapping || mapping_unevictable(mapping))
			return 0;
	}

	return PFN_PHYS(pfn) | HOST_PAGE_MAPPED |
	       (pte_write(leaf) ? HOST_PAGE_WRITABLE : 0) |
	       (pte_young(leaf) ? HOST_PAGE_YOUNG : 0);
}

/*
 * Looks up @count pages from @hva on, all of them in one page table of the
 * lowest level, if there were one. Returns the level of the leaf that maps the
 * first of them, and sets each of @pages to what host_page() says.
 *
 * The caller has to do what host_leaf() says.
 */
__rust_helper unsigned int rust_helper_kvm_host_pages(struct mm_struct *mm,
						      unsigned long hva,
						      unsigned int count,
						      u64 *pages)
{
	unsigned int i, level;
	pte_t *ptep;
	u64 leaf;

	guard(irqsave)();

	level = host_leaf(mm, hva, &leaf, &ptep);
	if (level) {
		unsigned long mask = level == 1 ? PMD_MASK : PUD_MASK;
		unsigned long pfn = __page_val_to_pfn(leaf) +
				    ((hva & ~mask) >> PAGE_SHIFT);

		for (i = 0; i < count; i++)
			pages[i] = host_page(__pte(leaf), pfn + i);
		return level;
	}
	for (i = 0; i < count; i++) {
		pte_t pte = ptep ? ptep_get(ptep + i) : __pte(0);

		/* A leaf of 64K, of hugetlbfs, has other bits in place of a frame. */
		pages[i] = pte_napot(pte) ? 0 :
			   host_page(pte, __page_val_to_pfn(pte_val(pte)));
	}
	return 0;
}
