// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: module, PCI driver
 */

/**
 * DOC: locks, from the outside in
 *
 * - the lock of the PCI device, by the driver core: probe, remove, resets
 * - vgpu_lock: who opens and closes a node
 * - vgpu_device.base.access: that the device runs; read to submit, write to
 *   start and stop
 * - vgpu_file.buffers_lock: alone
 * - vgpu_device.doorbell_lock: writes of RING_TAIL
 * - vgpu_queue.lock: the ring and the lists of calls; with interrupts off
 * - mimic_ledger.lock: the lists of a file; with interrupts off
 * - vgpu_device.buffers_lock: which buffers it reaches; with interrupts off
 *
 * None of the last four is held when something is copied from or to user space.
 * Which reference keeps what: mimic_ledger.c.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "mimic_compat.h"
#include "vgpu_call.h"
#include "vgpu_cdev.h"
#include "vgpu_device.h"
#include "vgpu_hw.h"
#include "vgpu_sysfs.h"

/* The original vGPU. */
#define VGPU_VENDOR 0x1af4
#define VGPU_DEVICE 0x1111
#define VGPU_CLASS 0x120000
#define VGPU_FIRST_REVISION 2
#define VGPU_BAR 0
#define VGPU_BAR_BYTES SZ_4K

static DEFINE_MUTEX(vgpu_lock);

static void vgpu_node_free(struct mimic_node *node)
{
	vgpu_device_free(container_of(node, struct vgpu_device, base));
}

static struct mimic_node_class vgpu_nodes = {
	.name = "vgpu",
	.class_prefix = "vgpu",
	.dev_prefix = "vgpu",
	.max_nodes = VGPU_MAX_DEVICES,
	.lock = &vgpu_lock,
	.disconnect = vgpu_device_disconnect,
	.free = vgpu_node_free,
};

static int vgpu_map(struct pci_dev *pdev, void __iomem **regs)
{
	int ret = pcim_enable_device(pdev);

	if (ret)
		return dev_err_probe(&pdev->dev, ret, "Cannot enable device\n");
	if (!(pci_resource_flags(pdev, VGPU_BAR) & IORESOURCE_MEM) ||
	    pci_resource_len(pdev, VGPU_BAR) < VGPU_BAR_BYTES)
		return dev_err_probe(&pdev->dev, -ENODEV,
				     "BAR0 is no memory of at least %u bytes\n",
				     VGPU_BAR_BYTES);
	/*
	 * Mapped but not requested, on purpose: with CONFIG_IO_STRICT_DEVMEM
	 * (Debian) a requested BAR cannot be mapped through resource0, and the
	 * original's programs do that.
	 */
	*regs = pcim_iomap(pdev, VGPU_BAR, 0);
	if (!*regs)
		return dev_err_probe(&pdev->dev, -ENOMEM, "Cannot map BAR0\n");
	return 0;
}

/* Makes a device that is stopped and known; its node is not visible. */
static int vgpu_make(struct pci_dev *pdev, struct vgpu_device **made)
{
	struct vgpu_device *dev;
	void __iomem *regs;
	int ret;

	ret = vgpu_map(pdev, &regs);
	if (ret)
		return ret;
	dev = vgpu_device_new(pdev, regs);
	if (!dev)
		return -ENOMEM;
	ret = vgpu_hw_identify(dev);
	if (!ret) {
		vgpu_hw_choose_mode(dev);
		ret = mimic_node_init(&dev->base, &vgpu_nodes, &vgpu_fops,
				      &pdev->dev);
	}
	if (ret) {
		vgpu_device_free(dev);
		return ret;
	}
	set_dev_node(&dev->base.dev, dev_to_node(&pdev->dev));
	*made = dev;
	return 0;
}

/* Number of a VF among those of its PF, from 0, as the SR-IOV capability counts. */
static int vgpu_vf_number(struct pci_dev *vf)
{
	struct pci_dev *pf = pci_physfn(vf);
	int cap = pci_find_ext_capability(pf, PCI_EXT_CAP_ID_SRIOV);
	u16 offset, stride;
	int distance;

	if (!cap ||
	    pci_read_config_word(pf, cap + PCI_SRIOV_VF_OFFSET, &offset) ||
	    pci_read_config_word(pf, cap + PCI_SRIOV_VF_STRIDE, &stride))
		return -EIO;
	distance = (vf->bus->number << 8 | vf->devfn) -
		   (pf->bus->number << 8 | pf->devfn) - offset;
	/* With one VF the stride may be 0. */
	return distance < 0 ? -EIO : stride ? distance / stride : 0;
}

/*
 * The PF of a VF, if it is ours; else NULL. It outlives its VFs: it takes them
 * away before it goes.
 */
static struct vgpu_device *vgpu_pf_of(struct pci_dev *pdev)
{
	struct pci_dev *pf = pci_physfn(pdev);

	if (!pdev->is_virtfn || pf->dev.driver != pdev->dev.driver)
		return NULL;
	return pci_get_drvdata(pf);
}

/* vgpuN; VF M of it is vgpuN_vfM. */
static int vgpu_name(struct vgpu_device *dev, struct pci_dev *pdev)
{
	struct vgpu_device *pf = vgpu_pf_of(pdev);
	int number = pf ? vgpu_vf_number(pdev) : -ENODEV;

	if (number >= 0)
		return dev_set_name(&dev->base.dev, "%s_vf%d",
				    dev_name(&pf->base.dev), number);
	return dev_set_name(&dev->base.dev, "vgpu%u",
			    MINOR(dev->base.dev.devt) - MINOR(vgpu_nodes.devt));
}

/* Makes the node of a device visible. */
static int vgpu_publish(struct vgpu_device *dev, struct vgpu_device *pf)
{
	const struct vgpu_identity *ident = &dev->ident;
	int ret = mimic_node_add(&dev->base);

	if (ret)
		return ret;
	/* Goes with its folder. */
	if (pf && sysfs_create_link(&dev->base.dev.kobj, &pf->base.dev.kobj,
				    "physfn"))
		dev_warn(&dev->base.dev, "No link to %s\n",
			 dev_name(&pf->base.dev));
	mimic_node_announce(&dev->base);
	dev_info(&dev->base.dev,
		 "VM %u, pool 0x%02x, priority %u, capabilities 0x%x, %u ring entries, %s\n",
		 ident->vm_id, ident->pool_id, ident->priority,
		 ident->capabilities, dev->ring_entries,
		 dev->vectors ? "interrupts" : "polled");
	return 0;
}

static int vgpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vgpu_device *dev;
	int ret;

	/* The first revision has another meaning of its registers. */
	if (pdev->revision < VGPU_FIRST_REVISION)
		return -ENODEV;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "No DMA\n");
	ret = vgpu_make(pdev, &dev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	/* From now on put_device() frees it. */
	ret = vgpu_name(dev, pdev);
	if (!ret)
		ret = vgpu_device_prepare(dev);
	if (ret)
		goto put;
	ret = vgpu_device_start(dev);
	if (ret) {
		dev_err(&pdev->dev, "Does not start (%d)\n", ret);
		goto disconnect;
	}
	/* For error recovery, which may come at any time from now on. */
	pci_save_state(pdev);
	pci_set_drvdata(pdev, dev);
	ret = vgpu_publish(dev, vgpu_pf_of(pdev));
	if (!ret)
		return 0;
disconnect:
	WRITE_ONCE(dev->removing, true);
	cancel_work_sync(&dev->recover);
	mimic_node_disconnect(&dev->base);
put:
	pci_clear_master(pdev);
	put_device(&dev->base.dev);
	return ret;
}

static void vgpu_remove(struct pci_dev *pdev)
{
	struct vgpu_device *dev = pci_get_drvdata(pdev);

	pci_disable_sriov(pdev);
	/* Before the device stops, and what came until it had. */
	WRITE_ONCE(dev->removing, true);
	cancel_work_sync(&dev->recover);
	get_device(&dev->base.dev);
	mimic_node_remove(&dev->base);
	cancel_work_sync(&dev->recover);
	put_device(&dev->base.dev);
}

static void vgpu_shutdown(struct pci_dev *pdev)
{
	struct vgpu_device *dev = pci_get_drvdata(pdev);

	down_write(&dev->base.access);
	vgpu_device_stop(dev, -ECANCELED, false);
	pci_clear_master(pdev);
	up_write(&dev->base.access);
}

static const struct pci_device_id vgpu_ids[] = {
	{ PCI_DEVICE(VGPU_VENDOR, VGPU_DEVICE), .class = VGPU_CLASS,
	  .class_mask = 0xffff00 },
	{}
};
MODULE_DEVICE_TABLE(pci, vgpu_ids);

static struct pci_driver vgpu_driver = {
	.name = "vgpu-stub",
	.id_table = vgpu_ids,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.shutdown = vgpu_shutdown,
	.sriov_configure = pci_sriov_configure_simple,
	.err_handler = &vgpu_err_handler,
	.driver.pm = &vgpu_pm_ops,
	/* Numbers follow the order of the bus. */
	.driver.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

static int __init vgpu_init(void)
{
	int ret;

	ret = vgpu_hw_check_parameters();
	if (ret)
		return ret;
	ret = vgpu_calls_init();
	if (ret)
		return ret;
	ret = mimic_node_class_init(&vgpu_nodes, vgpu_sysfs_groups);
	if (ret)
		goto calls;
	ret = pci_register_driver(&vgpu_driver);
	if (ret)
		goto nodes;
	return 0;

nodes:
	mimic_node_class_exit(&vgpu_nodes);
calls:
	vgpu_calls_exit();
	return ret;
}

static void __exit vgpu_exit(void)
{
	pci_unregister_driver(&vgpu_driver);
	mimic_node_class_exit(&vgpu_nodes);
	vgpu_calls_exit();
}

module_init(vgpu_init);
module_exit(vgpu_exit);

MODULE_AUTHOR("The Mimic authors");
MODULE_DESCRIPTION("Mimic's vgpu-stub: vGPUs whose requests a mediator carries out");
MODULE_VERSION("1.0.0");
MODULE_LICENSE("GPL");
