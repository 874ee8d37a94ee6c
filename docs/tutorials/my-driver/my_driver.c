// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The driver of docs/tutorials/test-my-driver.md: its one attribute shows a register of the device.
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>

#define STATUS 0x2c

static ssize_t my_status_show(struct device *dev, struct device_attribute *attr, char *buf)
{
    void __iomem *bar = dev_get_drvdata(dev);
    u32 status = ioread32(bar + STATUS);

    return sysfs_emit(buf, "0x%08x\n", status);
}
static DEVICE_ATTR_RO(my_status);

static struct attribute *my_attrs[] = { &dev_attr_my_status.attr, NULL };
ATTRIBUTE_GROUPS(my);

static int my_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
    int err = pcim_enable_device(pdev);

    if (!err)
        err = pcim_iomap_regions(pdev, BIT(0), "my_driver");
    if (err)
        return err;
    pci_set_drvdata(pdev, pcim_iomap_table(pdev)[0]);
    pci_info(pdev, "my_driver is here\n");
    return 0;
}

static void my_remove(struct pci_dev *pdev)
{
    pci_info(pdev, "my_driver has left\n");
}

static pci_ers_result_t my_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
    pci_info(pdev, "my_driver hears of an error, state %d\n", state);
    if (state == pci_channel_io_perm_failure)
        return PCI_ERS_RESULT_DISCONNECT;
    return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t my_slot_reset(struct pci_dev *pdev)
{
    pci_restore_state(pdev);
    pci_info(pdev, "my_driver goes on after a reset\n");
    return PCI_ERS_RESULT_RECOVERED;
}

static const struct pci_error_handlers my_handlers = {
    .error_detected = my_error_detected,
    .slot_reset = my_slot_reset,
};

static const struct pci_device_id my_ids[] = { { PCI_DEVICE(0x1de5, 0x0001) }, {} };
MODULE_DEVICE_TABLE(pci, my_ids);

static struct pci_driver my_driver = {
    .name = "my_driver",
    .id_table = my_ids,
    .probe = my_probe,
    .remove = my_remove,
    .err_handler = &my_handlers,
    .dev_groups = my_groups,
};
module_pci_driver(my_driver);

MODULE_DESCRIPTION("A driver to be tested");
MODULE_LICENSE("GPL");
