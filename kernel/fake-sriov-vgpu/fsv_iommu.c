// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: IOMMU groups
 */

/**
 * DOC: IOMMU groups
 *
 * With the module parameter iommu_groups, each function is alone in a group
 * that has a number and a folder, and nothing behind it: no IOMMU translates
 * for these functions. That is enough for whoever reads the link iommu_group.
 * vfio-pci takes such a function before Linux 6.0; since then it asks the IOMMU
 * for cache coherency and answers -EINVAL, because there is none to ask.
 */

#include <linux/iommu.h>
#include <linux/module.h>

#include "fsv.h"

static bool iommu_groups;
module_param(iommu_groups, bool, 0444);
MODULE_PARM_DESC(iommu_groups, "an IOMMU group for each function (default N)");

/**
 * fsv_iommu_add() - give a function a group of its own, if that is wanted
 * @pdev: one of our functions, being added
 *
 * Context: may sleep.
 */
void fsv_iommu_add(struct pci_dev *pdev)
{
	struct iommu_group *group;

	if (!iommu_groups)
		return;
	group = iommu_group_alloc();
	if (IS_ERR(group)) {
		fsv_complain("%s: no IOMMU group", pci_name(pdev));
		return;
	}
	iommu_group_set_name(group, FSV_NAME);
	if (iommu_group_add_device(group, &pdev->dev))
		fsv_complain("%s: not in its IOMMU group", pci_name(pdev));
	iommu_group_put(group);
}

/**
 * fsv_iommu_remove() - undo fsv_iommu_add()
 * @pdev: one of our functions, being removed; some kernels were faster
 *
 * Context: may sleep.
 */
void fsv_iommu_remove(struct pci_dev *pdev)
{
	struct iommu_group *group;

	if (!iommu_groups)
		return;
	group = iommu_group_get(&pdev->dev);
	if (!group)
		return;
	iommu_group_remove_device(&pdev->dev);
	iommu_group_put(group);
}
