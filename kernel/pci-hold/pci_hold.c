// SPDX-License-Identifier: GPL-2.0
/*
 * pci_hold: keeps a reference to one PCI function while it is loaded, as any
 * part of the kernel may. For tests of what goes away meanwhile.
 */

#include <linux/module.h>
#include <linux/pci.h>

static int domain;
module_param(domain, int, 0444);
MODULE_PARM_DESC(domain, "the function's domain; it is 00:00.0 there");

static struct pci_dev *pci_hold_dev;

static int __init pci_hold_init(void)
{
	pci_hold_dev = pci_get_domain_bus_and_slot(domain, 0, PCI_DEVFN(0, 0));
	return pci_hold_dev ? 0 : -ENODEV;
}
module_init(pci_hold_init);

static void __exit pci_hold_exit(void)
{
	pci_dev_put(pci_hold_dev);
}
module_exit(pci_hold_exit);

MODULE_DESCRIPTION("keeps a reference to a PCI function");
MODULE_LICENSE("GPL");
