// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: host bridges
 */

/**
 * DOC: host bridges, locks, lifetimes
 *
 * A bus is a host bridge with functions on bus number 0. VFs of the n-th PF are
 * on bus n; the PCI core makes and removes that bus. Config accesses arrive in
 * fsv_pci_ops under the core's pci_lock.
 *
 * Locks, outermost first:
 *
 *  1. a file's own lock (kernfs, configfs), by whoever writes to it;
 *  2. fsv_lock: which buses and flat functions exist;
 *  3. the rescan/remove lock of the PCI core, for each change of the bus;
 *  4. the device lock of a PCI function, by the driver core;
 *  5. pool->lock: what vGPUs there are;
 *  6. the core's pci_lock, then bus->config_lock, a raw spinlock: config space
 *     and the table of functions.
 *
 * The driver takes neither 2 nor 3, because both are held while it is bound and
 * 3 while it is unbound. What waits for others to let go holds none of them, see
 * fsv_leave.c.
 *
 * struct fsv_bus is the private memory of the host bridge, so it lives as long
 * as any reference to any device below, and the core calls fsv_bus_release()
 * with the last one: then nobody can call fsv_pci_ops again. Nobody waits for
 * that but fsv_bus_exit(), because then the module may go.
 *
 * The PCI core reads BARs as they are after a reset, with addresses in them,
 * and the notifier claims these at once. So the core never looks for others,
 * and a function finds its memory again after remove and rescan.
 */

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "fsv.h"

#define FSV_BUS_NUMBERS 256

/* Guards what exists; see above. */
DEFINE_MUTEX(fsv_lock);

/* Buses that somebody may still refer to. */
static atomic_t fsv_buses = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(fsv_buses_gone);

static struct fsv_bus *fsv_bus_of(struct pci_bus *pci_bus)
{
	return container_of((fsv_sysdata *)pci_bus->sysdata, struct fsv_bus,
			    sysdata);
}

/* The function at an address, if it answers. */
static struct fsv_function *fsv_lookup(struct fsv_bus *bus, unsigned int number,
				       unsigned int devfn)
{
	struct fsv_function *pf;
	unsigned int i;

	lockdep_assert_held(&bus->config_lock);
	if (!number)
		return bus->functions[devfn];
	for (i = 0; i < ARRAY_SIZE(bus->functions); i++) {
		pf = bus->functions[i];
		if (!pf || pf->number != number)
			continue;
		if (devfn < fsv_config_num_vfs(&pf->config))
			return &pf->vfs[devfn];
		return NULL;
	}
	return NULL;
}

static int fsv_pci_read(struct pci_bus *pci_bus, unsigned int devfn, int where,
			int size, u32 *value)
{
	struct fsv_bus *bus = fsv_bus_of(pci_bus);
	struct fsv_function *function;
	unsigned long flags;

	*value = ~0u;
	raw_spin_lock_irqsave(&bus->config_lock, flags);
	function = fsv_lookup(bus, pci_bus->number, devfn);
	if (function)
		*value = fsv_config_read(&function->config, where, size);
	raw_spin_unlock_irqrestore(&bus->config_lock, flags);
	return function ? PCIBIOS_SUCCESSFUL : PCIBIOS_DEVICE_NOT_FOUND;
}

static int fsv_pci_write(struct pci_bus *pci_bus, unsigned int devfn, int where,
			 int size, u32 value)
{
	struct fsv_bus *bus = fsv_bus_of(pci_bus);
	struct fsv_function *function;
	unsigned long flags;
	unsigned int events, vfs = 0, i;

	raw_spin_lock_irqsave(&bus->config_lock, flags);
	function = fsv_lookup(bus, pci_bus->number, devfn);
	if (function) {
		events = fsv_config_write(&function->config, where, size,
					  value);
		if (events & FSV_EVENT_VFS)
			vfs = fsv_config_num_vfs(&function->config);
		for (i = 0; i < vfs; i++)
			fsv_config_reset(&function->vfs[i].config);
	}
	raw_spin_unlock_irqrestore(&bus->config_lock, flags);
	return function ? PCIBIOS_SUCCESSFUL : PCIBIOS_DEVICE_NOT_FOUND;
}

struct pci_ops fsv_pci_ops = {
	.read = fsv_pci_read,
	.write = fsv_pci_write,
};

/* VF @number of a PF, enabled or not. */
static struct fsv_function *fsv_vf_of(struct fsv_function *pf,
				      unsigned int number)
{
	if (!pf || !pf->vfs || number >= pf->config.layout.total_vfs)
		return NULL;
	return &pf->vfs[number];
}

/**
 * fsv_function_of() - which of our functions is this?
 * @pdev: any PCI function of the system, bound or being (un)bound
 *
 * Context: any; the result lives as long as @pdev is on its bus.
 * Return: the function, or NULL if it is not ours.
 */
struct fsv_function *fsv_function_of(struct pci_dev *pdev)
{
	struct fsv_function *function;
	struct fsv_bus *bus;
	unsigned long flags;

	if (pdev->bus->ops != &fsv_pci_ops)
		return NULL;
	bus = fsv_bus_of(pdev->bus);
	raw_spin_lock_irqsave(&bus->config_lock, flags);
	if (pdev->is_virtfn) {
		/* VF Enable may be off already when a VF is unbound. */
		function = fsv_vf_of(bus->functions[pci_physfn(pdev)->devfn],
				     pdev->devfn);
	} else {
		function = fsv_lookup(bus, pdev->bus->number, pdev->devfn);
	}
	raw_spin_unlock_irqrestore(&bus->config_lock, flags);
	return function;
}

static void fsv_claim(struct pci_dev *pdev)
{
	struct resource *res;
	int i;

	for (i = 0; i < PCI_BRIDGE_RESOURCES; i++) {
		res = &pdev->resource[i];
		if (res->flags && res->start && !res->parent &&
		    pci_claim_resource(pdev, i))
			fsv_complain("%s: BAR %d has no memory", pci_name(pdev),
				     i);
	}
}

static void fsv_power_cycle(struct pci_dev *pdev)
{
	struct fsv_function *function = fsv_function_of(pdev);
	unsigned long flags;

	if (!function)
		return;
	if (function->pf)
		fsv_vgpu_reset(function);
	raw_spin_lock_irqsave(&function->bus->config_lock, flags);
	fsv_config_reset(&function->config);
	raw_spin_unlock_irqrestore(&function->bus->config_lock, flags);
}

static int fsv_notify(struct notifier_block *block, unsigned long action,
		      void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);

	if (pdev->bus->ops != &fsv_pci_ops)
		return NOTIFY_DONE;
	if (action == BUS_NOTIFY_ADD_DEVICE) {
		fsv_claim(pdev);
		fsv_iommu_add(pdev);
	} else if (action == BUS_NOTIFY_REMOVED_DEVICE) {
		fsv_iommu_remove(pdev);
		fsv_power_cycle(pdev);
	}
	return NOTIFY_OK;
}

static struct notifier_block fsv_notifier = {
	.notifier_call = fsv_notify,
};

/**
 * fsv_bus_put_function() - let a function answer, or nothing any more
 * @bus: the bus
 * @devfn: where, on bus number 0
 * @function: what answers from now on, or NULL
 *
 * Context: any.
 */
void fsv_bus_put_function(struct fsv_bus *bus, unsigned int devfn,
			  struct fsv_function *function)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&bus->config_lock, flags);
	bus->functions[devfn] = function;
	raw_spin_unlock_irqrestore(&bus->config_lock, flags);
}

/**
 * fsv_bus_add() - plug a function into a bus that is there
 * @bus: the bus
 * @function: made for it; its address is free
 *
 * Context: may sleep; holds fsv_lock.
 * Return: 0; -ENODEV if the PCI core did not take it, and nothing changed.
 */
int fsv_bus_add(struct fsv_bus *bus, struct fsv_function *function)
{
	const unsigned int devfn = function->config.layout.devfn;
	struct pci_dev *pdev;

	lockdep_assert_held(&fsv_lock);
	pci_lock_rescan_remove();
	fsv_bus_put_function(bus, devfn, function);
	pdev = pci_scan_single_device(bus->bridge->bus, devfn);
	if (pdev)
		pci_bus_add_device(pdev);
	else
		fsv_bus_put_function(bus, devfn, NULL);
	pci_unlock_rescan_remove();
	return pdev ? 0 : -ENODEV;
}

static bool fsv_domain_is_used(int domain)
{
	struct pci_bus *pci_bus = NULL;

	while ((pci_bus = pci_find_next_bus(pci_bus)))
		if (pci_domain_nr(pci_bus) == domain)
			return true;
	return false;
}

/*
 * Frees what the bus owns; the core frees the bus. What runs after the last
 * line is over before the module's text is freed: that waits for RCU.
 */
static void fsv_bus_release(struct pci_host_bridge *bridge)
{
	struct fsv_bus *bus = bridge->release_data;
	unsigned int i;

	/* Flat functions first: they use the pool of a PF. */
	for (i = 0; i < ARRAY_SIZE(bus->functions); i++)
		if (bus->functions[i] && bus->functions[i]->is_flat) {
			fsv_function_free(bus->functions[i]);
			bus->functions[i] = NULL;
		}
	for (i = 0; i < ARRAY_SIZE(bus->functions); i++)
		if (bus->functions[i])
			fsv_function_free(bus->functions[i]);
	fsv_memory_free_all(&bus->memory);
	fsv_leave_put(bus->leave);
	if (bus->released)
		*bus->released = true;
	if (atomic_dec_and_test(&fsv_buses))
		wake_up(&fsv_buses_gone);
}

static int fsv_bus_fill(struct fsv_bus *bus,
			const struct fsv_description *wanted,
			unsigned int count, bool with_flat)
{
	struct fsv_function *function;
	unsigned int i, devfn;

	for (i = 0; i < count; i++) {
		devfn = PCI_DEVFN(wanted[i].slot, wanted[i].function);
		if (fsv_description_check(&wanted[i]) || bus->functions[devfn])
			return -EINVAL;
		function = fsv_function_create(bus, &wanted[i]);
		if (IS_ERR(function))
			return PTR_ERR(function);
		bus->functions[devfn] = function;
	}
	return with_flat ? fsv_function_reserve_flat(bus) : 0;
}

static int fsv_bus_register(struct fsv_bus *bus)
{
	struct pci_host_bridge *bridge = bus->bridge;
	struct fsv_memory *memory;
	unsigned int devfn;
	int ret;

	list_for_each_entry(memory, &bus->memory, list)
		pci_add_resource(&bridge->windows, &memory->window);
	bus->busn = (struct resource){
		.name = FSV_NAME,
		.flags = IORESOURCE_BUS,
		.end = FSV_BUS_NUMBERS - 1,
	};
	pci_add_resource(&bridge->windows, &bus->busn);
	bridge->ops = &fsv_pci_ops;
	bridge->sysdata = &bus->sysdata;
	fsv_set_place(bridge, &bus->sysdata, bus->domain, bus->node);

	pci_lock_rescan_remove();
	ret = -EBUSY;
	if (!fsv_domain_is_used(bus->domain))
		ret = pci_scan_root_bus_bridge(bridge);
	if (!ret) {
		/* Functions of a slot without function 0 as well. */
		for (devfn = 0; devfn < ARRAY_SIZE(bus->functions); devfn++)
			if (bus->functions[devfn])
				pci_scan_single_device(bridge->bus, devfn);
		pci_bus_add_devices(bridge->bus);
	}
	pci_unlock_rescan_remove();
	return ret;
}

/**
 * fsv_bus_create() - make a host bridge with functions
 * @domain: 0..65535
 * @node: NUMA node or NUMA_NO_NODE
 * @wanted: functions
 * @count: of @wanted
 * @with_flat: fsv_bus_add() will be used
 *
 * Context: may sleep; holds fsv_lock.
 * Return: the bus; ERR_PTR(-EBUSY) if the domain is in use, ERR_PTR(-EINVAL)
 * if a function cannot be as described or two are at one place,
 * ERR_PTR(-ENOMEM), or what the PCI core says.
 */
struct fsv_bus *fsv_bus_create(int domain, int node,
			       const struct fsv_description *wanted,
			       unsigned int count, bool with_flat)
{
	struct pci_host_bridge *bridge;
	struct fsv_bus *bus;
	bool released = false;
	int ret;

	lockdep_assert_held(&fsv_lock);
	bridge = pci_alloc_host_bridge(sizeof(*bus));
	if (!bridge)
		return ERR_PTR(-ENOMEM);
	bus = pci_host_bridge_priv(bridge);
	bus->bridge = bridge;
	bus->domain = domain;
	bus->node = node;
	INIT_LIST_HEAD(&bus->memory);
	raw_spin_lock_init(&bus->config_lock);
	atomic_inc(&fsv_buses);
	pci_set_host_bridge_release(bridge, fsv_bus_release, bus);
	bus->leave = fsv_leave_alloc(bus, NULL);
	ret = -ENOMEM;
	if (bus->leave)
		ret = fsv_bus_fill(bus, wanted, count, with_flat);
	if (ret) {
		put_device(&bridge->dev);
		return ERR_PTR(ret);
	}
	/* When it fails, the core may put the first reference, or not. */
	get_device(&bridge->dev);
	ret = fsv_bus_register(bus);
	if (ret)
		bus->released = &released;
	put_device(&bridge->dev);
	if (!ret)
		return bus;
	if (!released) {
		bus->released = NULL;
		put_device(&bridge->dev);
	}
	return ERR_PTR(ret);
}

/**
 * fsv_bus_init() - before the first bus
 *
 * Return: 0 or a negative errno.
 */
int fsv_bus_init(void)
{
	int ret = fsv_leave_init();

	if (ret)
		return ret;
	ret = bus_register_notifier(&pci_bus_type, &fsv_notifier);
	if (ret)
		fsv_leave_exit();
	else
		fsv_iommu_init();
	return ret;
}

/**
 * fsv_bus_exit() - after the last bus
 *
 * Context: may sleep until nobody refers to a device of any bus.
 */
void fsv_bus_exit(void)
{
	while (!wait_event_timeout(fsv_buses_gone, !atomic_read(&fsv_buses),
				   10 * HZ))
		pr_notice(FSV_NAME ": buses that are still in use: %d\n",
			  atomic_read(&fsv_buses));
	fsv_leave_exit();
	fsv_iommu_exit();
	bus_unregister_notifier(&pci_bus_type, &fsv_notifier);
	if (fsv_memory_pages())
		pr_err(FSV_NAME ": %ld pages were not given back\n",
		       fsv_memory_pages());
}
