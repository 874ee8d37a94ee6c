// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: which functions belong together, and which are visible
 */

/**
 * DOC: static and native virtual functions
 *
 * This file knows all bound functions and decides which of them have a node.
 * A PF always has one. A VF has one while its PF has, and then by one of two
 * strategies:
 *
 *  - Static. A VMM that hides the SR-IOV capability shows VFs as ordinary
 *    functions 1..7 next to the PF, function 0 of their slot. They are on the
 *    bus from the start; the driver claims them and lets them appear when
 *    sriov_numvfs, which it adds to the PF's class device, says so. VFs with
 *    an index below sriov_numvfs are visible.
 *
 *  - Native. The PF has the SR-IOV capability, the PCI core makes the VFs, and
 *    they are visible as long as they exist; see mock_accel_native.c.
 *
 * Functions may be bound and unbound in any order at any time. All decisions
 * are made under mock_accel_lock from the list of bound functions, so order
 * does not matter: each change re-evaluates what it could affect.
 */

#include <linux/bitmap.h>
#include <linux/io.h>

#include "mock_accel_hw.h"
#include "mock_accel_node.h"
#include "mock_accel_sriov.h"

/* Arbitrary; the bus number of a native VF allows no more. */
#define MOCK_ACCEL_MAX_NATIVE_VFS 256

/* Protected by mock_accel_lock. */
static LIST_HEAD(mock_accel_functions);

/**
 * mock_accel_sriov_is_static() - does this function bring static VFs?
 * @pf: any function
 *
 * Context: any.
 * Return: true if @pf is a PF whose VFs this driver enables and disables.
 */
bool mock_accel_sriov_is_static(const struct mock_accel_function *pf)
{
	return !pf->ident.is_vf && !pf->pdev->is_physfn &&
	       pf->ident.total_vfs > 0;
}

/**
 * mock_accel_sriov_is_native() - can this function have VFs of the PCI core?
 * @pf: any function
 *
 * Context: any.
 * Return: true if @pf has the SR-IOV capability.
 */
bool mock_accel_sriov_is_native(const struct mock_accel_function *pf)
{
	return !pf->ident.is_vf && pf->pdev->is_physfn;
}

static bool mock_accel_same_slot(const struct pci_dev *a,
				 const struct pci_dev *b)
{
	return a->bus == b->bus && PCI_SLOT(a->devfn) == PCI_SLOT(b->devfn);
}

static bool mock_accel_is_vf_of(const struct mock_accel_function *vf,
				const struct mock_accel_function *pf)
{
	if (!vf->ident.is_vf || pf->ident.is_vf)
		return false;
	if (vf->pdev->is_virtfn)
		return pci_physfn(vf->pdev) == pf->pdev;
	return mock_accel_sriov_is_static(pf) &&
	       mock_accel_same_slot(vf->pdev, pf->pdev);
}

static bool mock_accel_are_sibling_vfs(const struct mock_accel_function *a,
				       const struct mock_accel_function *b)
{
	if (!a->ident.is_vf || !b->ident.is_vf ||
	    a->pdev->is_virtfn != b->pdev->is_virtfn)
		return false;
	if (a->pdev->is_virtfn)
		return pci_physfn(a->pdev) == pci_physfn(b->pdev);
	return mock_accel_same_slot(a->pdev, b->pdev);
}

static bool mock_accel_vf_is_enabled(const struct mock_accel_function *vf,
				     const struct mock_accel_function *pf)
{
	return vf->pdev->is_virtfn || vf->ident.vf_index < pf->num_vfs;
}

static struct mock_accel_function *
mock_accel_find_pf(const struct mock_accel_function *vf)
{
	struct mock_accel_function *pf;

	lockdep_assert_held(&mock_accel_lock);
	list_for_each_entry(pf, &mock_accel_functions, list)
		if (pf->published && mock_accel_is_vf_of(vf, pf))
			return pf;
	return NULL;
}

static struct mock_accel_function *
mock_accel_find_vf(const struct mock_accel_function *pf, u32 vf_index)
{
	struct mock_accel_function *vf;

	lockdep_assert_held(&mock_accel_lock);
	list_for_each_entry(vf, &mock_accel_functions, list)
		if (mock_accel_is_vf_of(vf, pf) &&
		    vf->ident.vf_index == vf_index)
			return vf;
	return NULL;
}

static int mock_accel_vf_show(struct mock_accel_function *vf,
			      struct mock_accel_function *pf)
{
	int ret;

	lockdep_assert_held(&mock_accel_lock);
	ret = mock_accel_node_add(vf, pf->node);
	if (ret)
		dev_err(&vf->pdev->dev, "Cannot show VF %u (%d)\n",
			vf->ident.vf_index, ret);
	else
		mock_accel_node_announce(vf->node);
	return ret;
}

static void mock_accel_hide_all_vfs(struct mock_accel_function *pf)
{
	struct mock_accel_function *vf;

	lockdep_assert_held(&mock_accel_lock);
	list_for_each_entry(vf, &mock_accel_functions, list)
		if (mock_accel_is_vf_of(vf, pf))
			mock_accel_node_remove(vf);
}

static bool mock_accel_any_vf_is_open(struct mock_accel_function *pf)
{
	struct mock_accel_function *vf;

	lockdep_assert_held(&mock_accel_lock);
	list_for_each_entry(vf, &mock_accel_functions, list)
		if (mock_accel_is_vf_of(vf, pf) && vf->node &&
		    vf->node->base.open_count)
			return true;
	return false;
}

static void mock_accel_record_num_vfs(struct mock_accel_function *pf,
				      u32 num_vfs)
{
	lockdep_assert_held(&mock_accel_lock);
	WRITE_ONCE(pf->num_vfs, num_vfs);
	writel(num_vfs, pf->regs + MOCK_ACCEL_NUM_VFS);
}

static int mock_accel_enable_vfs(struct mock_accel_function *pf, u32 num_vfs)
{
	u32 i;
	int ret;

	for (i = 0; i < num_vfs; i++) {
		if (!mock_accel_find_vf(pf, i)) {
			dev_warn(&pf->pdev->dev,
				 "Cannot enable %u VFs: VF %u is not bound\n",
				 num_vfs, i);
			return -ENODEV;
		}
	}
	for (i = 0; i < num_vfs; i++) {
		ret = mock_accel_vf_show(mock_accel_find_vf(pf, i), pf);
		if (ret) {
			mock_accel_hide_all_vfs(pf);
			return ret;
		}
	}
	mock_accel_record_num_vfs(pf, num_vfs);
	return 0;
}

static int mock_accel_disable_vfs(struct mock_accel_function *pf)
{
	if (mock_accel_any_vf_is_open(pf))
		return -EBUSY;
	mock_accel_hide_all_vfs(pf);
	mock_accel_record_num_vfs(pf, 0);
	return 0;
}

/**
 * mock_accel_sriov_hide_closed_vfs() - hide all VFs, if none is open
 * @pf: the PF
 *
 * Context: may sleep; takes mock_accel_lock.
 * Return: 0, or -EBUSY if a VF is open; nothing was hidden then.
 */
int mock_accel_sriov_hide_closed_vfs(struct mock_accel_function *pf)
{
	int ret = 0;

	mutex_lock(&mock_accel_lock);
	if (mock_accel_any_vf_is_open(pf))
		ret = -EBUSY;
	else
		mock_accel_hide_all_vfs(pf);
	mutex_unlock(&mock_accel_lock);
	return ret;
}

/**
 * mock_accel_for_each_native_vf() - visit the bound VFs of a PF
 * @pf: the PF; nothing happens if it is not native
 * @visit: called for each VF
 * @data: for @visit
 *
 * Context: holds mock_accel_lock, which keeps the VFs bound.
 */
void mock_accel_for_each_native_vf(struct mock_accel_function *pf,
				   void (*visit)(struct mock_accel_function *vf,
						 void *data),
				   void *data)
{
	struct mock_accel_function *vf;

	lockdep_assert_held(&mock_accel_lock);
	if (!mock_accel_sriov_is_native(pf))
		return;
	list_for_each_entry(vf, &mock_accel_functions, list)
		if (mock_accel_is_vf_of(vf, pf))
			visit(vf, data);
}

/**
 * mock_accel_sriov_set_num_vfs() - enable or disable static VFs
 * @pf: a PF for which mock_accel_sriov_is_static() holds
 * @num_vfs: how many VFs shall be visible
 *
 * All or nothing. As in the PCI core, the way from one number to another leads
 * through 0, and the number that is already set is accepted.
 *
 * Context: may sleep; takes mock_accel_lock.
 * Return: 0; -EINVAL above the total; -EBUSY if VFs are enabled already or if,
 * to disable them, one is open; -ENODEV if a VF is not there or @pf is being
 * removed; -EAGAIN if @pf is still being probed; -ERESTARTSYS by a signal.
 */
int mock_accel_sriov_set_num_vfs(struct mock_accel_function *pf, u32 num_vfs)
{
	int ret;

	if (num_vfs > pf->ident.total_vfs)
		return -EINVAL;
	if (mutex_lock_interruptible(&mock_accel_lock))
		return -ERESTARTSYS;
	if (list_empty(&pf->list))
		ret = -ENODEV;
	else if (!pf->published)
		ret = -EAGAIN;
	else if (num_vfs == pf->num_vfs)
		ret = 0;
	else if (!num_vfs)
		ret = mock_accel_disable_vfs(pf);
	else if (pf->num_vfs)
		ret = -EBUSY;
	else
		ret = mock_accel_enable_vfs(pf, num_vfs);
	mutex_unlock(&mock_accel_lock);
	return ret;
}

/*
 * VF_INDEX comes from the device and becomes a name: keep it in range and
 * unique among the VFs of one PF.
 */
static int mock_accel_settle_vf_index(struct mock_accel_function *vf)
{
	const u32 limit = vf->pdev->is_virtfn ? MOCK_ACCEL_MAX_NATIVE_VFS :
						MOCK_ACCEL_MAX_VFS;
	DECLARE_BITMAP(taken, MOCK_ACCEL_MAX_NATIVE_VFS);
	struct mock_accel_function *other;
	u32 vf_index;

	lockdep_assert_held(&mock_accel_lock);
	bitmap_zero(taken, MOCK_ACCEL_MAX_NATIVE_VFS);
	list_for_each_entry(other, &mock_accel_functions, list)
		if (mock_accel_are_sibling_vfs(vf, other))
			set_bit(other->ident.vf_index, taken);

	if (vf->ident.vf_index < limit && !test_bit(vf->ident.vf_index, taken))
		return 0;
	vf_index = find_first_zero_bit(taken, limit);
	if (vf_index >= limit)
		return -ENOSPC;
	dev_warn(&vf->pdev->dev,
		 "VF_INDEX 0x%08x is out of range or taken, using %u\n",
		 vf->ident.vf_index, vf_index);
	vf->ident.vf_index = vf_index;
	return 0;
}

static int mock_accel_attach_vf(struct mock_accel_function *vf)
{
	struct mock_accel_function *pf;
	int ret;

	mutex_lock(&mock_accel_lock);
	ret = mock_accel_settle_vf_index(vf);
	if (ret)
		goto out;
	list_add_tail(&vf->list, &mock_accel_functions);
	pf = mock_accel_find_pf(vf);
	if (pf && mock_accel_vf_is_enabled(vf, pf))
		ret = mock_accel_vf_show(vf, pf);
	if (ret)
		list_del_init(&vf->list);
out:
	mutex_unlock(&mock_accel_lock);
	return ret;
}

static int mock_accel_attach_pf(struct mock_accel_function *pf)
{
	struct mock_accel_function *vf;
	int ret;

	if (!pf->pdev->is_physfn && PCI_FUNC(pf->pdev->devfn) &&
	    pf->ident.total_vfs) {
		dev_warn(&pf->pdev->dev,
			 "Not function 0 of its slot, ignoring TOTAL_VFS\n");
		pf->ident.total_vfs = 0;
	}

	mutex_lock(&mock_accel_lock);
	if (mock_accel_sriov_is_static(pf))
		mock_accel_record_num_vfs(pf, 0);
	list_add_tail(&pf->list, &mock_accel_functions);
	mutex_unlock(&mock_accel_lock);

	ret = mock_accel_node_add(pf, NULL);
	if (ret) {
		mutex_lock(&mock_accel_lock);
		list_del_init(&pf->list);
		mutex_unlock(&mock_accel_lock);
		return ret;
	}

	mutex_lock(&mock_accel_lock);
	pf->published = true;
	mock_accel_node_announce(pf->node);
	/* Native VFs that were there first. A failure was logged, go on. */
	list_for_each_entry(vf, &mock_accel_functions, list)
		if (mock_accel_is_vf_of(vf, pf) &&
		    mock_accel_vf_is_enabled(vf, pf) && !vf->node)
			mock_accel_vf_show(vf, pf);
	mutex_unlock(&mock_accel_lock);
	return 0;
}

/**
 * mock_accel_sriov_attach() - make a function known, and visible if it may be
 * @func: the function, identified, with its interrupt running
 *
 * Context: probe; may sleep; takes mock_accel_lock.
 * Return: 0 or a negative errno, with @func unknown as before.
 */
int mock_accel_sriov_attach(struct mock_accel_function *func)
{
	return func->ident.is_vf ? mock_accel_attach_vf(func) :
				   mock_accel_attach_pf(func);
}

/**
 * mock_accel_sriov_detach() - forget a function
 * @func: what was given to mock_accel_sriov_attach()
 *
 * A PF takes its VFs out of sight first, open or not. A static VF that goes
 * alone leaves sriov_numvfs as it is and comes back when it is bound again.
 *
 * Context: remove; may sleep; takes mock_accel_lock.
 */
void mock_accel_sriov_detach(struct mock_accel_function *func)
{
	mutex_lock(&mock_accel_lock);
	func->published = false;
	if (func->ident.is_vf) {
		mock_accel_node_remove(func);
	} else {
		mock_accel_hide_all_vfs(func);
		if (mock_accel_sriov_is_static(func))
			mock_accel_record_num_vfs(func, 0);
	}
	list_del_init(&func->list);
	mutex_unlock(&mock_accel_lock);

	if (!func->ident.is_vf)
		mock_accel_node_remove(func);
}

/**
 * mock_accel_sriov_reset_done() - write again what a reset cleared
 * @func: the function that was reset, and answers
 *
 * The VFs of a native PF are the PCI core's to restore; see that it did.
 *
 * Context: may sleep; holds mock_accel_lock.
 */
void mock_accel_sriov_reset_done(struct mock_accel_function *func)
{
	u32 num_vfs;

	lockdep_assert_held(&mock_accel_lock);
	if (mock_accel_sriov_is_static(func))
		mock_accel_record_num_vfs(func, func->num_vfs);
	if (!mock_accel_sriov_is_native(func))
		return;
	num_vfs = readl(func->regs + MOCK_ACCEL_NUM_VFS);
	if (num_vfs != pci_num_vf(func->pdev))
		dev_warn(&func->pdev->dev,
			 "NUM_VFS is 0x%08x after a reset, want %d\n", num_vfs,
			 pci_num_vf(func->pdev));
}
