// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: buses and functions that go
 */

/**
 * DOC: leaving
 *
 * A bus or a function cannot go before its drivers have let go, and vfio-pci
 * lets go when who has opened the function closes it: when he likes. So this
 * is done by a work that holds no lock meanwhile: not fsv_lock, and not the
 * rescan/remove lock of the PCI core, behind which fsv_lock would wait. Whoever
 * wants something to go starts the work and waits for it, for a limited time;
 * then the answer is -EBUSY, and it goes as soon as it can.
 *
 * What leaves is there until it has gone: its place is taken.
 */

#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "fsv.h"

/**
 * struct fsv_leave - the way out of a bus or a function
 * @work: takes it away
 * @done: when it has gone
 * @ref: one of what leaves, one of the work, one of each who waits
 * @bus: the bus, or that of @function
 * @function: what leaves; NULL: the bus
 * @started: guarded by fsv_lock
 */
struct fsv_leave {
	struct work_struct work;
	struct completion done;
	struct kref ref;
	struct fsv_bus *bus;
	struct fsv_function *function;
	bool started;
};

static struct workqueue_struct *fsv_leave_queue;

static void fsv_leave_free(struct kref *ref)
{
	kfree(container_of(ref, struct fsv_leave, ref));
}

/**
 * fsv_leave_put() - one reference less
 * @leave: from fsv_leave_alloc() or fsv_leave_start(), or NULL
 */
void fsv_leave_put(struct fsv_leave *leave)
{
	if (leave)
		kref_put(&leave->ref, fsv_leave_free);
}

static bool fsv_is_on(const struct pci_dev *pdev, const struct fsv_bus *bus)
{
	return pdev->bus->ops == &fsv_pci_ops &&
	       pdev->bus->sysdata == &bus->sysdata;
}

/* The PCI function of ours, with a reference, or NULL. */
static struct pci_dev *fsv_leave_find(const struct fsv_leave *leave)
{
	const unsigned int devfn = leave->function->config.layout.devfn;
	struct pci_dev *pdev;

	pdev = pci_get_domain_bus_and_slot(leave->bus->domain, 0, devfn);
	if (pdev && !fsv_is_on(pdev, leave->bus)) {
		pci_dev_put(pdev);
		pdev = NULL;
	}
	return pdev;
}

/* Cuts mappings of BARs that user space made through resourceN. */
static void fsv_zap(struct address_space *mappings, u64 start, u64 bytes)
{
	if (mappings && bytes)
		unmap_mapping_range(mappings, start, bytes, 1);
}

static void fsv_leave_function(struct fsv_leave *leave)
{
	struct fsv_function *function = leave->function;
	const struct fsv_bar *bars = function->config.layout.bars;
	struct address_space *mappings = NULL;
	struct pci_dev *pdev;
	unsigned int i;

	pdev = fsv_leave_find(leave);
	if (pdev) {
		device_release_driver(&pdev->dev);
		pci_dev_put(pdev);
	}
	pci_lock_rescan_remove();
	pdev = fsv_leave_find(leave);
	if (pdev) {
		mappings = fsv_user_mappings(pdev);
		pci_stop_and_remove_bus_device(pdev);
		pci_dev_put(pdev);
	}
	fsv_bus_put_function(leave->bus, function->config.layout.devfn, NULL);
	pci_unlock_rescan_remove();
	for (i = 0; i < FSV_BARS; i++)
		fsv_zap(mappings, bars[i].address, bars[i].size);

	mutex_lock(&fsv_lock);
	fsv_function_free(function);
	mutex_unlock(&fsv_lock);
}

/* Drivers of the bus let go, those of VFs first: a PF's takes its VFs along. */
static void fsv_leave_drivers(struct fsv_bus *bus)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev)
		if (fsv_is_on(pdev, bus) && pdev->is_virtfn)
			device_release_driver(&pdev->dev);
	for_each_pci_dev(pdev)
		if (fsv_is_on(pdev, bus))
			device_release_driver(&pdev->dev);
}

/* The core does not look for VFs of a PF without a driver; so we do. */
static void fsv_leave_vfs(struct fsv_bus *bus)
{
	struct pci_dev *pdev, *next;

	list_for_each_entry_safe(pdev, next, &bus->bridge->bus->devices,
				 bus_list) {
		device_release_driver(&pdev->dev);
		if (pdev->is_physfn)
			pci_disable_sriov(pdev);
	}
}

static void fsv_leave_bus(struct fsv_bus *bus)
{
	struct pci_host_bridge *bridge = bus->bridge;
	struct address_space *mappings = NULL;
	struct fsv_memory *memory;
	struct pci_dev *pdev;

	fsv_leave_drivers(bus);
	pci_lock_rescan_remove();
	list_for_each_entry(pdev, &bridge->bus->devices, bus_list)
		if (!mappings)
			mappings = fsv_user_mappings(pdev);
	fsv_leave_vfs(bus);
	pci_stop_root_bus(bridge->bus);
	pci_remove_root_bus(bridge->bus);
	pci_unlock_rescan_remove();
	list_for_each_entry(memory, &bus->memory, list)
		fsv_zap(mappings, memory->start, memory->bytes);

	mutex_lock(&fsv_lock);
	if (bus->owner)
		*bus->owner = NULL;
	mutex_unlock(&fsv_lock);
	/* The first one, of fsv_bus_create(). */
	put_device(&bridge->dev);
}

static void fsv_leave_work(struct work_struct *work)
{
	struct fsv_leave *leave = container_of(work, struct fsv_leave, work);
	struct device *bridge = &leave->bus->bridge->dev;

	if (leave->function)
		fsv_leave_function(leave);
	else
		fsv_leave_bus(leave->bus);
	complete_all(&leave->done);
	fsv_leave_put(leave);
	put_device(bridge);
}

/**
 * fsv_leave_alloc() - prepare the way out
 * @bus: what will leave, or where it is
 * @function: what will leave; NULL: @bus
 *
 * Context: may sleep.
 * Return: with one reference, or NULL without memory.
 */
struct fsv_leave *fsv_leave_alloc(struct fsv_bus *bus,
				  struct fsv_function *function)
{
	struct fsv_leave *leave = kzalloc(sizeof(*leave), GFP_KERNEL);

	if (!leave)
		return NULL;
	INIT_WORK(&leave->work, fsv_leave_work);
	init_completion(&leave->done);
	kref_init(&leave->ref);
	leave->bus = bus;
	leave->function = function;
	return leave;
}

/**
 * fsv_leave_start() - let a bus or a function go
 * @leave: of it; it may be leaving already
 *
 * Context: holds fsv_lock. When that is given up, what leaves may be gone.
 * Return: @leave with a reference more, for fsv_leave_wait() or
 * fsv_leave_put().
 */
struct fsv_leave *fsv_leave_start(struct fsv_leave *leave)
{
	lockdep_assert_held(&fsv_lock);
	kref_get(&leave->ref);
	if (!leave->started) {
		leave->started = true;
		kref_get(&leave->ref);
		get_device(&leave->bus->bridge->dev);
		queue_work(fsv_leave_queue, &leave->work);
	}
	return leave;
}

/**
 * fsv_leave_is_started() - is it leaving?
 * @leave: of it
 *
 * Context: holds fsv_lock.
 * Return: true from fsv_leave_start() on.
 */
bool fsv_leave_is_started(const struct fsv_leave *leave)
{
	lockdep_assert_held(&fsv_lock);
	return leave->started;
}

/**
 * fsv_leave_wait() - wait until it has gone, for a limited time
 * @leave: from fsv_leave_start(); its reference is put
 * @left: jiffies that may pass; what is left of them afterwards
 *
 * Context: may sleep; does not hold fsv_lock.
 * Return: 0; -EBUSY if it is not gone by then; -EINTR by a signal. It goes on
 * leaving.
 */
int fsv_leave_wait(struct fsv_leave *leave, unsigned long *left)
{
	long ret;

	ret = wait_for_completion_interruptible_timeout(&leave->done, *left);
	fsv_leave_put(leave);
	/* Those that have gone cost no time. */
	*left = ret > 0 ? ret : 0;
	if (ret < 0)
		return -EINTR;
	return ret ? 0 : -EBUSY;
}

/**
 * fsv_leave_init() - before the first bus
 *
 * Return: 0 or -ENOMEM.
 */
int fsv_leave_init(void)
{
	/* Each may take long, and none waits for another. */
	fsv_leave_queue = alloc_workqueue(FSV_NAME, WQ_UNBOUND, 0);
	return fsv_leave_queue ? 0 : -ENOMEM;
}

/**
 * fsv_leave_exit() - after the last bus
 *
 * Context: may sleep until no work is left.
 */
void fsv_leave_exit(void)
{
	destroy_workqueue(fsv_leave_queue);
}
