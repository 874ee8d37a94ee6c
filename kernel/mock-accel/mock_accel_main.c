// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: driver of the accelerator that is not there
 */

/**
 * DOC: probe, remove, registers
 *
 * This file owns the PCI side: it claims a function, maps BAR0, reads and
 * checks the constant registers once, and requests the interrupt.
 *
 * Two objects stand for one function. A &struct mock_accel_function is the
 * binding of the driver to the PCI function: devm memory, gone after remove().
 * A &struct mock_accel_node is one appearance in /sys/class/mock-accel and
 * /dev: reference counted, kept by open files, and a VF can have many of them,
 * one after the other, while it stays bound. Only @func, guarded by @access,
 * leads from the second to the first.
 *
 * Locks, outermost first:
 *
 *  1. the device lock of the PCI function, by the driver core for probe, remove,
 *     suspend, resets and error recovery, and around sriov_configure;
 *  2. mock_accel_lock: who is bound, which VFs are enabled, open counts;
 *  3. mmap_lock, by the memory management, for mmap and page faults;
 *  4. node->access, for reading by all who use the function through the node,
 *     for writing by those who stop or end all use;
 *  5. node->files_lock, or file->lock: the queues and buffers of an open file;
 *  6. func->node_lock: where to deliver an interrupt.
 *
 * A PF's class device is removed with only the first held, because its
 * sriov_numvfs takes the second; it only tries to take the first.
 */

#include <linux/bitfield.h>
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "mimic_compat.h"
#include "mock_accel_cdev.h"
#include "mock_accel_irq.h"
#include "mock_accel_native.h"
#include "mock_accel_node.h"
#include "mock_accel_recovery.h"
#include "mock_accel_sriov.h"
#include "mock_accel_sysfs.h"

#define MOCK_ACCEL_BAR_BYTES SZ_4K
/* More, the device's registers do not allow. */
#define MOCK_ACCEL_MAX_RING_ORDER 16

#define MOCK_ACCEL_VENDOR 0x1de5
#define MOCK_ACCEL_PF 0x0001
#define MOCK_ACCEL_VF 0x0002

static DEFINE_IDA(mock_accel_index);

/* Copies an array of 32-bit registers to memory in the device's byte order. */
static void mock_accel_read_bytes(const struct mock_accel_function *func,
				  void *dst, u32 offset, u32 stride, u32 count)
{
	__le32 word;
	u32 i;

	for (i = 0; i < count; i++) {
		word = cpu_to_le32(readl(func->regs + offset + i * stride));
		memcpy(dst + i * sizeof(word), &word, sizeof(word));
	}
}

/* The label goes to sysfs and to terminals: no control bytes, one end. */
static void mock_accel_make_printable(char *label, size_t size)
{
	size_t i;

	label[size - 1] = '\0';
	for (i = 0; label[i]; i++)
		if (label[i] < ' ' || label[i] > '~')
			label[i] = '?';
	memset(label + i, 0, size - i);
}

/* What the DMA engine has; a function without one reads zeros. */
static void mock_accel_identify_engine(struct mock_accel_function *func)
{
	const u32 caps = readl(func->regs + MOCK_ACCEL_ENGINE_CAPS);
	const u32 order =
		FIELD_GET(MOCK_ACCEL_ENGINE_CAPS_MAX_RING_ORDER, caps);
	u64 bytes;
	u32 i;

	func->ring_count = readl(func->regs + MOCK_ACCEL_RING_COUNT);
	if (func->ring_count > ARRAY_SIZE(func->rings)) {
		dev_warn(&func->pdev->dev, "RING_COUNT is 0x%08x, using none\n",
			 func->ring_count);
		func->ring_count = 0;
	}
	func->max_entries = 1u << min_t(u32, order, MOCK_ACCEL_MAX_RING_ORDER);
	for (i = 0; i < ARRAY_SIZE(func->rings); i++) {
		func->rings[i].func = func;
		func->rings[i].index = i;
	}
	/* BAR2 is what can be mapped; the register, what operations reach. */
	bytes = pci_resource_len(func->pdev, MOCK_ACCEL_MEMORY_BAR);
	if (pci_resource_n(func->pdev, MOCK_ACCEL_MEMORY_BAR)->parent)
		func->memory_bytes =
			min(bytes,
			    readq(func->regs + MOCK_ACCEL_LOCAL_MEMORY_SIZE));
}

/* Reads and checks what stays constant. After this, @func->ident is trusted. */
static int mock_accel_identify(struct mock_accel_function *func)
{
	struct mock_accel_identity *ident = &func->ident;
	struct device *dev = &func->pdev->dev;

	BUILD_BUG_ON(MOCK_ACCEL_UUID_COUNT * sizeof(__le32) !=
		     sizeof(ident->uuid));
	BUILD_BUG_ON(MOCK_ACCEL_LABEL_COUNT * sizeof(__le32) !=
		     sizeof(ident->label));

	ident->device_id = readl(func->regs + MOCK_ACCEL_DEVICE_ID);
	if (ident->device_id == U32_MAX)
		return dev_err_probe(dev, -ENODEV,
				     "Device does not answer (DEVICE_ID reads all ones)\n");
	if (ident->device_id != MOCK_ACCEL_DEVICE_ID_RESET)
		return dev_err_probe(dev, -ENODEV,
				     "DEVICE_ID is 0x%08x, want 0x%08x: not a mock-accel\n",
				     ident->device_id,
				     MOCK_ACCEL_DEVICE_ID_RESET);

	ident->revision = readl(func->regs + MOCK_ACCEL_REVISION);
	ident->fw_version = readl(func->regs + MOCK_ACCEL_FW_VERSION);
	ident->capabilities = readl(func->regs + MOCK_ACCEL_CAPABILITIES);
	ident->memory_size = readq(func->regs + MOCK_ACCEL_MEMORY_SIZE);
	mock_accel_read_bytes(func, ident->uuid, MOCK_ACCEL_UUID,
			      MOCK_ACCEL_UUID_STRIDE, MOCK_ACCEL_UUID_COUNT);
	mock_accel_read_bytes(func, ident->label, MOCK_ACCEL_LABEL,
			      MOCK_ACCEL_LABEL_STRIDE, MOCK_ACCEL_LABEL_COUNT);
	mock_accel_make_printable(ident->label, sizeof(ident->label));
	mock_accel_identify_engine(func);

	if (ident->is_vf) {
		ident->vf_index = readl(func->regs + MOCK_ACCEL_VF_INDEX);
		return 0;
	}
	ident->vf_index = MOCK_ACCEL_NO_VF_INDEX;
	if (func->pdev->is_physfn) {
		ident->total_vfs = pci_sriov_get_totalvfs(func->pdev);
		return 0;
	}
	ident->total_vfs = readl(func->regs + MOCK_ACCEL_TOTAL_VFS);
	if (ident->total_vfs > MOCK_ACCEL_MAX_VFS) {
		dev_warn(dev, "TOTAL_VFS is 0x%08x, using %u\n",
			 ident->total_vfs, MOCK_ACCEL_MAX_VFS);
		ident->total_vfs = MOCK_ACCEL_MAX_VFS;
	}
	return 0;
}

/*
 * The device has class 0 (not defined), and for such devices the PCI core
 * leaves BARs as it finds them: with those of firmware at boot, with none after
 * hotplug or a rescan. So ask for an address if there is none.
 */
static int mock_accel_assign_bar(struct pci_dev *pdev, int bar)
{
	const struct resource *res = pci_resource_n(pdev, bar);

	if (!(res->flags & IORESOURCE_MEM) || res->parent)
		return 0;
	return pci_assign_resource(pdev, bar);
}

static int mock_accel_map(struct mock_accel_function *func)
{
	struct pci_dev *pdev = func->pdev;
	int ret;

	ret = mock_accel_assign_bar(pdev, MOCK_ACCEL_BAR);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "No address for BAR0\n");
	ret = mock_accel_assign_bar(pdev, MOCK_ACCEL_MEMORY_BAR);
	if (ret)
		dev_warn(&pdev->dev,
			 "No address for BAR2 (%d): device memory cannot be mapped\n",
			 ret);
	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "Cannot enable device\n");
	if (!(pci_resource_flags(pdev, MOCK_ACCEL_BAR) & IORESOURCE_MEM) ||
	    pci_resource_len(pdev, MOCK_ACCEL_BAR) < MOCK_ACCEL_BAR_BYTES)
		return dev_err_probe(&pdev->dev, -ENODEV,
				     "BAR0 is no memory of at least %u bytes\n",
				     MOCK_ACCEL_BAR_BYTES);
	/*
	 * Mapped but not requested, on purpose: with CONFIG_IO_STRICT_DEVMEM
	 * (Debian) a requested BAR cannot be mmap'd through resource0, and
	 * comparing what the driver reads with what resource0 shows is what
	 * this device is for. The driver core already sees to it that one
	 * function has one driver.
	 */
	func->regs = pcim_iomap(pdev, MOCK_ACCEL_BAR, 0);
	if (!func->regs)
		return dev_err_probe(&pdev->dev, -ENOMEM, "Cannot map BAR0\n");
	return 0;
}

static void mock_accel_free_index(void *data)
{
	struct mock_accel_function *func = data;

	ida_free(&mock_accel_index, func->index);
}

static int mock_accel_alloc_index(struct mock_accel_function *func)
{
	func->index = ida_alloc(&mock_accel_index, GFP_KERNEL);
	if (func->index < 0)
		return func->index;
	return devm_add_action_or_reset(&func->pdev->dev, mock_accel_free_index,
					func);
}

static int mock_accel_probe(struct pci_dev *pdev,
			    const struct pci_device_id *id)
{
	struct mock_accel_function *func;
	int ret;

	func = devm_kzalloc(&pdev->dev, sizeof(*func), GFP_KERNEL);
	if (!func)
		return -ENOMEM;
	func->pdev = pdev;
	func->ident.is_vf = id->device == MOCK_ACCEL_VF;
	INIT_LIST_HEAD(&func->list);
	spin_lock_init(&func->node_lock);

	ret = mock_accel_map(func);
	if (ret)
		return ret;
	ret = mock_accel_identify(func);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "No DMA\n");
	/* An MSI-X message is a write by the device. */
	pci_set_master(pdev);
	ret = mock_accel_setup_irqs(func);
	if (ret)
		return ret;
	if (!func->ident.is_vf) {
		ret = mock_accel_alloc_index(func);
		if (ret)
			return ret;
	}
	/* For error recovery, which may come at any time from now on. */
	pci_save_state(pdev);
	pci_set_drvdata(pdev, func);
	return mock_accel_sriov_attach(func);
}

static void mock_accel_remove(struct pci_dev *pdev)
{
	struct mock_accel_function *func = pci_get_drvdata(pdev);

	/* Also those that are open; their own remove ends that. */
	if (mock_accel_sriov_is_native(func))
		pci_disable_sriov(pdev);
	mock_accel_sriov_detach(func);
	/* Nothing may reach memory that is not ours any more. */
	pci_clear_master(pdev);
}

static const struct pci_device_id mock_accel_ids[] = {
	{ PCI_DEVICE(MOCK_ACCEL_VENDOR, MOCK_ACCEL_PF) },
	{ PCI_DEVICE(MOCK_ACCEL_VENDOR, MOCK_ACCEL_VF) },
	{}
};
MODULE_DEVICE_TABLE(pci, mock_accel_ids);

static struct pci_driver mock_accel_driver = {
	.name = "mock-accel",
	.id_table = mock_accel_ids,
	.probe = mock_accel_probe,
	.remove = mock_accel_remove,
	.sriov_configure = mock_accel_sriov_configure,
	.err_handler = &mock_accel_err_handler,
	.driver.pm = &mock_accel_pm_ops,
	/* Numbers follow the order of the bus. */
	.driver.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

static int __init mock_accel_init(void)
{
	int ret;

	ret = mock_accel_class_init(&mock_accel_fops, mock_accel_groups,
				    mock_accel_disconnect);
	if (ret)
		return ret;
	ret = pci_register_driver(&mock_accel_driver);
	if (ret)
		mock_accel_class_exit();
	return ret;
}
module_init(mock_accel_init);

static void __exit mock_accel_exit(void)
{
	pci_unregister_driver(&mock_accel_driver);
	mock_accel_class_exit();
}
module_exit(mock_accel_exit);

MODULE_AUTHOR("The Mimic authors");
MODULE_DESCRIPTION("Driver of Mimic's mock PCIe accelerator");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.2.0");
