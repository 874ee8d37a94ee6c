// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: IOMMU groups, and the software IOMMU behind them
 */

/**
 * DOC: IOMMU groups
 *
 * Each function is alone in a group, because KubeVirt names a function by its
 * group, and skips one that has none.
 *
 * A group without an IOMMU is enough for whoever reads the link iommu_group.
 * vfio-pci wants more since Linux 6.0: an IOMMU that is cache coherent. So from
 * 6.1 on the module registers one that is software: fsv_domain.c records what
 * is mapped, and since no function does DMA, that is all.
 *
 * The IOMMU core finds it in two ways:
 *
 *  - before 6.8, all buses have one set of operations. It is refused where
 *    another IOMMU is, and the groups stay without one; the core leaves our
 *    operations in the buses when we unregister, so we take them out. Only on
 *    x86 do we know which buses these are.
 *  - since 6.8, by a firmware node that our notifier gives to a function before
 *    the core's own looks at it. No other device sees us.
 *
 * The core counts references of operations for each device. That would pin the
 * module by its own functions, so the operations are a copy without an owner
 * in memory that is no module's. The module may do that because it takes all
 * its functions away, and with them their groups and address spaces, before it
 * goes.
 */

#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "fsv.h"

static bool iommu_groups = true;
module_param(iommu_groups, bool, 0444);
MODULE_PARM_DESC(iommu_groups, "an IOMMU group for each function (default Y)");

static bool iommu = true;
module_param(iommu, bool, 0444);
MODULE_PARM_DESC(iommu,
		 "a software IOMMU behind the groups, for vfio-pci (default Y)");

#ifdef FSV_HAS_SOFT_IOMMU

static struct iommu_device fsv_iommu;
static struct iommu_ops *fsv_iommu_ops; /* NULL: not registered */

static bool fsv_iommu_capable(struct device *dev, enum iommu_cap cap)
{
	/* Nothing of ours raises an interrupt, so none goes astray. */
	return cap == IOMMU_CAP_CACHE_COHERENCY || fsv_is_isolation(cap);
}

static struct iommu_device *fsv_iommu_probe(struct device *dev)
{
	if (!dev_is_pci(dev) || to_pci_dev(dev)->bus->ops != &fsv_pci_ops)
		return ERR_PTR(-ENODEV);
	return &fsv_iommu;
}

/* Before 6.8 the core calls it unasked. */
static void fsv_iommu_release(struct device *dev)
{
}

static struct iommu_group *fsv_iommu_group(struct device *dev)
{
	struct iommu_group *group = generic_device_group(dev);

	if (!IS_ERR(group))
		iommu_group_set_name(group, FSV_NAME);
	return group;
}

/* Drivers other than vfio-pci map memory as if there were no IOMMU. */
static int fsv_iommu_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static const struct iommu_ops fsv_iommu_template = {
	.capable = fsv_iommu_capable,
	.probe_device = fsv_iommu_probe,
	.release_device = fsv_iommu_release,
	.device_group = fsv_iommu_group,
	.def_domain_type = fsv_iommu_def_domain_type,
	.default_domain_ops = &fsv_domain_ops,
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	.domain_alloc = fsv_domain_alloc,
	.pgsize_bitmap = PAGE_SIZE,
#else
	.domain_alloc_paging = fsv_domain_alloc_paging,
	.identity_domain = &fsv_identity_domain,
	.blocked_domain = &fsv_blocked_domain,
#endif
};

static int fsv_iommu_notify(struct notifier_block *block, unsigned long action,
			    void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);

	if (pdev->bus->ops != &fsv_pci_ops || action != BUS_NOTIFY_ADD_DEVICE)
		return NOTIFY_DONE;
	if (fsv_set_fwspec(&pdev->dev, &fsv_iommu))
		fsv_complain("%s: no software IOMMU", pci_name(pdev));
	return NOTIFY_OK;
}

/* Before the IOMMU core's, which has priority 0. */
static struct notifier_block fsv_iommu_notifier = {
	.notifier_call = fsv_iommu_notify,
	.priority = 1,
};

static void fsv_iommu_leave_buses(void)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	if (pci_bus_type.iommu_ops == fsv_iommu_ops)
		pci_bus_type.iommu_ops = NULL;
	if (platform_bus_type.iommu_ops == fsv_iommu_ops)
		platform_bus_type.iommu_ops = NULL;
#endif
}

static void fsv_iommu_unregister(void)
{
	bus_unregister_notifier(&pci_bus_type, &fsv_iommu_notifier);
	iommu_device_unregister(&fsv_iommu);
	fsv_iommu_leave_buses();
}

static int fsv_iommu_register(void)
{
	int ret;

	fsv_iommu.fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(fsv_iommu.fwnode))
		return PTR_ERR(fsv_iommu.fwnode);
	ret = iommu_device_sysfs_add(&fsv_iommu, NULL, fsv_domain_groups, "%s",
				     FSV_NAME);
	if (ret)
		goto err_fwnode;
	ret = -ENOMEM;
	fsv_iommu_ops = kmemdup(&fsv_iommu_template, sizeof(fsv_iommu_template),
				GFP_KERNEL);
	if (!fsv_iommu_ops)
		goto err_sysfs;
	ret = iommu_device_register(&fsv_iommu, fsv_iommu_ops, NULL);
	if (ret)
		goto err_ops;
	ret = bus_register_notifier(&pci_bus_type, &fsv_iommu_notifier);
	if (!ret)
		return 0;
	iommu_device_unregister(&fsv_iommu);
	fsv_iommu_leave_buses();
err_ops:
	kfree(fsv_iommu_ops);
	fsv_iommu_ops = NULL;
err_sysfs:
	iommu_device_sysfs_remove(&fsv_iommu);
err_fwnode:
	fwnode_remove_software_node(fsv_iommu.fwnode);
	return ret;
}

static bool fsv_iommu_has(struct device *dev)
{
	return dev->iommu && dev->iommu->iommu_dev == &fsv_iommu;
}

/**
 * fsv_iommu_init() - register the software IOMMU, if that is wanted
 *
 * The module works without it, so there is nothing to fail.
 *
 * Context: may sleep; before the first function is added.
 */
void fsv_iommu_init(void)
{
	int ret;

	if (!iommu_groups || !iommu)
		return;
	ret = fsv_iommu_register();
	if (ret)
		pr_notice(FSV_NAME
			  ": no software IOMMU, error %d%s; vfio-pci will refuse our functions\n",
			  ret, ret == -EBUSY ? " (there is another one)" : "");
}

/**
 * fsv_iommu_exit() - undo fsv_iommu_init()
 *
 * Context: may sleep, until VFIO has freed the last address space; no function
 * is left.
 */
void fsv_iommu_exit(void)
{
	if (!fsv_iommu_ops)
		return;
	while (fsv_domain_is_any()) {
		fsv_complain("an address space is still in use");
		msleep(100);
	}
	fsv_iommu_unregister();
	iommu_device_sysfs_remove(&fsv_iommu);
	fwnode_remove_software_node(fsv_iommu.fwnode);
	kfree(fsv_iommu_ops);
	fsv_iommu_ops = NULL;
}

#else

static bool fsv_iommu_has(struct device *dev)
{
	return false;
}

void fsv_iommu_init(void)
{
	if (iommu_groups && iommu)
		pr_notice(FSV_NAME
			  ": this kernel is too old for the software IOMMU (6.1)\n");
}

void fsv_iommu_exit(void)
{
}

#endif /* FSV_HAS_SOFT_IOMMU */

/**
 * fsv_iommu_add() - see to it that a function has a group, if that is wanted
 * @pdev: one of our functions, being added; the IOMMU core has seen it
 *
 * Drivers that leave DMA to the kernel are not bound where a group has no
 * address space (6.15, and 6.12 with fixes), so without the software IOMMU only
 * functions of our driver get a group.
 *
 * Context: may sleep.
 */
void fsv_iommu_add(struct pci_dev *pdev)
{
	const struct fsv_function *function = fsv_function_of(pdev);
	struct iommu_group *group;

	if (!iommu_groups || fsv_iommu_has(&pdev->dev))
		return;
	if (!function || !function->managed)
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

	if (!iommu_groups || fsv_iommu_has(&pdev->dev))
		return;
	group = iommu_group_get(&pdev->dev);
	if (!group)
		return;
	iommu_group_remove_device(&pdev->dev);
	iommu_group_put(group);
}
