// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros that the abstractions over the KVM core need.
 *
 * These helpers are part of vmlinux while the KVM core may be a module, so none
 * of them may call a function of the core.
 */

#include <linux/entry-virt.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/pgtable.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/sched/stat.h>
#include <linux/userfaultfd_k.h>

/* For what runs between guest_state_enter_irqoff() and its counterpart. */
#define __rust_helper_noinstr						\
	__rust_helper notrace __section(".noinstr.text") __no_kcsan	\
	__no_sanitize_address __no_profile __no_sanitize_coverage

__rust_helper bool rust_helper_sched_info_on(void)
{
	return sched_info_on();
}

__rust_helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

__rust_helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}

__rust_helper unsigned long rust_helper_local_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

__rust_helper void rust_helper_local_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

__rust_helper bool rust_helper_irqs_disabled_flags(unsigned long flags)
{
	return irqs_disabled_flags(flags);
}

__rust_helper void rust_helper_guest_timing_enter_irqoff(void)
{
	guest_timing_enter_irqoff();
}

__rust_helper void rust_helper_guest_timing_exit_irqoff(void)
{
	guest_timing_exit_irqoff();
}

/*
 * guest_state_enter_irqoff(), but that it tells RCU of no quiescent state where
 * there is no context tracking: rust_helper_kvm_guest_state_exit_irqoff() does.
 */
__rust_helper_noinstr void rust_helper_kvm_guest_state_enter_irqoff(void)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();

	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

/*
 * guest_state_exit_irqoff(), but that it tells RCU of a quiescent state only if
 * the caller says so.
 */
__rust_helper_noinstr void
rust_helper_kvm_guest_state_exit_irqoff(bool is_quiescent)
{
	bool tracked;

	lockdep_hardirqs_off(CALLER_ADDR0);
	tracked = context_tracking_guest_exit();

	instrumentation_begin();
	if (is_quiescent && !tracked)
		rcu_virt_note_context_switch();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

__rust_helper void rust_helper___kvm_make_request(int req, struct kvm_vcpu *vcpu)
{
	__kvm_make_request(req, vcpu);
}

__rust_helper bool rust_helper_kvm_test_request(int req, struct kvm_vcpu *vcpu)
{
	return kvm_test_request(req, vcpu);
}

/* kvm_check_request() wants a constant; this is it, for any request. */
__rust_helper bool rust_helper_kvm_check_request(int req, struct kvm_vcpu *vcpu)
{
	if (!kvm_test_request(req, vcpu))
		return false;

	clear_bit(req & KVM_REQUEST_MASK, (void *)&vcpu->requests);
	smp_mb__after_atomic();
	return true;
}

__rust_helper struct kvm_vcpu *rust_helper_kvm_get_vcpu(struct kvm *kvm, int i)
{
	return kvm_get_vcpu(kvm, i);
}

__rust_helper struct kvm_vcpu *rust_helper_kvm_get_vcpu_by_id(struct kvm *kvm, int id)
{
	return kvm_get_vcpu_by_id(kvm, id);
}

__rust_helper int rust_helper_kvm_vcpu_exiting_guest_mode(struct kvm_vcpu *vcpu)
{
	return kvm_vcpu_exiting_guest_mode(vcpu);
}

__rust_helper void rust_helper_prepare_to_rcuwait(struct rcuwait *w)
{
	prepare_to_rcuwait(w);
}

__rust_helper void rust_helper_set_current_state_interruptible(void)
{
	set_current_state(TASK_INTERRUPTIBLE);
}

/* A macro where there is lockdep. */
__rust_helper int rust_helper_kvm_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}

__rust_helper void rust_helper_read_lock(rwlock_t *lock)
{
	read_lock(lock);
}

__rust_helper void rust_helper_read_unlock(rwlock_t *lock)
{
	read_unlock(lock);
}

__rust_helper void rust_helper_write_lock(rwlock_t *lock)
{
	write_lock(lock);
}

__rust_helper void rust_helper_write_unlock(rwlock_t *lock)
{
	write_unlock(lock);
}

/* Whether cond_resched_rwlock_write(), or _read(), would give the lock up. */
__rust_helper bool rust_helper_kvm_rwlock_is_wanted(rwlock_t *lock)
{
	return need_resched() || rwlock_needbreak(lock);
}

__rust_helper int rust_helper_cond_resched_rwlock_read(rwlock_t *lock)
{
	return cond_resched_rwlock_read(lock);
}

__rust_helper int rust_helper_cond_resched_rwlock_write(rwlock_t *lock)
{
	return cond_resched_rwlock_write(lock);
}

__rust_helper int rust_helper_mmu_invalidate_retry_gfn(struct kvm *kvm,
						       unsigned long mmu_seq,
						       gfn_t gfn)
{
	return mmu_invalidate_retry_gfn(kvm, mmu_seq, gfn);
}

__rust_helper void rust_helper_kvm_put_page(struct page *page)
{
	put_page(page);
}

__rust_helper void *rust_helper_kvm_phys_to_virt(phys_addr_t phys)
{
	return phys_to_virt(phys);
}

__rust_helper phys_addr_t rust_helper_kvm_virt_to_phys(void *virt)
{
	return virt_to_phys(virt);
}

__rust_helper void rust_helper_kvm_account_pgtable_pages(void *virt, int nr)
{
	kvm_account_pgtable_pages(virt, nr);
}

/* The number of pages that are allocated and freed together with this one. */
__rust_helper unsigned long rust_helper_kvm_pages_of_folio(struct page *page)
{
	return folio_nr_pages(page_folio(page));
}

/*
 * Whether a store to @vma is brought in by handle_mm_fault() as it is: memory of no
 * file, which neither writes back nor has a fault handler of its own, and which no
 * userfaultfd supplies.
 */
__rust_helper bool rust_helper_kvm_vma_is_plain(struct vm_area_struct *vma)
{
	return vma_is_anonymous(vma) && !userfaultfd_armed(vma) &&
	       (vma->vm_flags & (VM_WRITE | VM_SHADOW_STACK)) == VM_WRITE;
}

__rust_helper void rust_helper_cond_resched(void)
{
	cond_resched();
}

/*
 * The level of the leaf that maps @hva in the host's page tables (0: PTE or
 * nothing, 1: PMD, 2: PUD). A leaf above level 0 is put to @leaf, as memory holds
 * it. Otherwise @ptep points to the PTE, or is NULL if there is no table for it.
 *
 * The walk takes no lock: interrupts are off, as they have to be for as long as
 * @ptep is used, so that no table is freed under it, and it looks at copies of
 * the entries. The caller holds mmu_lock and has checked that no invalidation is
 * in progress, else the answer is stale before it can be used.
 *
 * The backends of x86, LoongArch and RISC-V in C have such a walk each. Its place
 * is virt/kvm, which is left as it is; it stands here because the macros that
 * walk are C.
 */
static __always_inline unsigned int host_leaf(struct mm_struct *mm,
					      unsigned long hva, u64 *leaf,
					      pte_t **ptep)
{
	*ptep = NULL;

	pgd_t pgd = pgdp_get(pgd_offset(mm, hva));

	if (!pgd_present(pgd))
		return 0;

	p4d_t p4d = p4dp_get(p4d_offset(&pgd, hva));

	if (!p4d_present(p4d))
		return 0;

	pud_t pud = pudp_get(pud_offset(&p4d, hva));

	if (!pud_present(pud))
		return 0;
	if (pud_leaf(pud)) {
		*leaf = pud_val(pud);
		return 2;
	}

	pmd_t pmd = pmdp_get(pmd_offset(&pud, hva));

	if (!pmd_present(pmd))
		return 0;
	if (pmd_leaf(pmd)) {
		*leaf = pmd_val(pmd);
		return 1;
	}

	/* pte_offset_map() is not for modules, which helpers may be a part of. */
	*ptep = pte_offset_kernel(&pmd, hva);
	return 0;
}

__rust_helper unsigned int rust_helper_kvm_host_leaf_level(struct mm_struct *mm,
							   unsigned long hva)
{
	pte_t *ptep;
	u64 leaf;

	guard(irqsave)();

	return host_leaf(mm, hva, &leaf, &ptep);
}

__rust_helper u64 rust_helper_kvm_host_leaf(struct mm_struct *mm,
					    unsigned long hva)
{
	pte_t *ptep;
	u64 leaf;

	guard(irqsave)();

	if (host_leaf(mm, hva, &leaf, &ptep))
		return leaf;
	if (!ptep)
		return 0;

	pte_t pte = ptep_get(ptep);

	return pte_present(pte) ? pte_val(pte) : 0;
}
