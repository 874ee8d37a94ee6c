// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: whole machines through configfs
 */

/**
 * DOC: configfs
 *
 * A folder of a bus holds folders of functions; both only describe. Writing 1
 * to "live" makes a bus from the description, 0 takes it away. Descriptions
 * and @live are guarded by fsv_lock. A folder pins the module, so that it cannot
 * be unloaded under a description.
 *
 * A bus may need longer to leave than one waits for it. Then it is live until
 * it has gone; if the folder goes before, the bus is nobody's.
 */

#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/slab.h>

#include "fsv_configfs.h"

#define FSV_DEFAULT_DOMAIN 3

static struct config_group *fsv_part_make(struct config_group *group,
					  const char *name)
{
	struct fsv_machine *machine = to_machine(&group->cg_item);
	struct fsv_part *part;
	int ret = 0;

	part = kzalloc(sizeof(*part), GFP_KERNEL);
	if (!part)
		return ERR_PTR(-ENOMEM);
	fsv_describe(&part->wanted);
	config_group_init_type_name(&part->group, name, &fsv_part_type);
	mutex_lock(&fsv_lock);
	if (machine->live) {
		ret = -EBUSY;
	} else if (machine->count == FSV_MAX_FUNCTIONS) {
		ret = -ENOSPC;
	} else {
		part->machine = machine;
		machine->count++;
		list_add_tail(&part->list, &machine->parts);
	}
	mutex_unlock(&fsv_lock);
	if (ret) {
		config_item_put(&part->group.cg_item);
		return ERR_PTR(ret);
	}
	return &part->group;
}

static void fsv_part_drop(struct config_group *group, struct config_item *item)
{
	struct fsv_part *part = to_part(item);

	mutex_lock(&fsv_lock);
	list_del(&part->list);
	part->machine->count--;
	part->machine = NULL;
	mutex_unlock(&fsv_lock);
	config_item_put(item);
}

/* A bus from the description; the result is in machine->live. */
static int fsv_machine_start(struct fsv_machine *machine)
{
	struct fsv_description *wanted;
	struct fsv_part *part;
	struct fsv_bus *bus;
	unsigned int count = 0;

	lockdep_assert_held(&fsv_lock);
	if (!machine->count)
		return -ENXIO;
	wanted = kcalloc(machine->count, sizeof(*wanted), GFP_KERNEL);
	if (!wanted)
		return -ENOMEM;
	list_for_each_entry(part, &machine->parts, list)
		wanted[count++] = part->wanted;
	bus = fsv_bus_create(machine->domain, machine->node, wanted, count,
			     false);
	kfree(wanted);
	if (IS_ERR(bus))
		return PTR_ERR(bus);
	machine->live = bus;
	bus->owner = &machine->live;
	return 0;
}

/* What our driver shall bind to and does not know yet, or NULL. */
static const struct fsv_layout *
fsv_machine_unknown(const struct fsv_machine *machine)
{
	const struct fsv_layout *layout;
	const struct fsv_part *part;

	list_for_each_entry(part, &machine->parts, list) {
		layout = &part->wanted.layout;
		if (part->wanted.managed &&
		    !fsv_driver_knows(layout->vendor, layout->device))
			return layout;
	}
	return NULL;
}

/*
 * Lets the driver learn all that it has to. On success fsv_lock is held, so
 * that nothing new is described before the bus is made.
 */
static int fsv_machine_prepare(const struct fsv_machine *machine)
{
	const struct fsv_layout *layout;
	u16 vendor, device;
	int ret;

	for (;;) {
		if (mutex_lock_interruptible(&fsv_lock))
			return -EINTR;
		layout = fsv_machine_unknown(machine);
		if (!layout)
			return 0;
		vendor = layout->vendor;
		device = layout->device;
		mutex_unlock(&fsv_lock);
		ret = fsv_driver_learn(vendor, device);
		if (ret)
			return ret;
	}
}

/* Lets the bus go. The result is for fsv_leave_wait(), or NULL without a bus. */
static struct fsv_leave *fsv_machine_stop(struct fsv_machine *machine)
{
	lockdep_assert_held(&fsv_lock);
	return machine->live ? fsv_leave_start(machine->live->leave) : NULL;
}

static ssize_t fsv_machine_live_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%u\n", !!READ_ONCE(to_machine(item)->live));
}

static ssize_t fsv_machine_live_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct fsv_machine *machine = to_machine(item);
	unsigned long left = FSV_LEAVE_TIMEOUT;
	struct fsv_leave *leave = NULL;
	u8 value;
	int ret;

	if (kstrtou8(page, 0, &value) || value > 1)
		return -EINVAL;
	ret = value ? fsv_machine_prepare(machine) :
		      mutex_lock_interruptible(&fsv_lock);
	if (ret)
		return ret;
	if (!value)
		leave = fsv_machine_stop(machine);
	else if (!machine->live)
		ret = fsv_machine_start(machine);
	else if (fsv_leave_is_started(machine->live->leave))
		ret = -EBUSY;
	mutex_unlock(&fsv_lock);
	if (leave)
		ret = fsv_leave_wait(leave, &left);
	if (ret)
		fsv_complain("%s: live %u: error %d", config_item_name(item),
			     value, ret);
	return ret ? ret : count;
}
CONFIGFS_ATTR(fsv_machine_, live);

static ssize_t fsv_machine_domain_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "0x%04x\n", to_machine(item)->domain);
}

static ssize_t fsv_machine_domain_store(struct config_item *item,
					const char *page, size_t count)
{
	struct fsv_machine *machine = to_machine(item);
	int ret = 0;
	u16 value;

	if (kstrtou16(page, 0, &value))
		return -EINVAL;
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (machine->live)
		ret = -EBUSY;
	else
		machine->domain = value;
	mutex_unlock(&fsv_lock);
	return ret ? ret : count;
}
CONFIGFS_ATTR(fsv_machine_, domain);

static ssize_t fsv_machine_numa_node_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%d\n", to_machine(item)->node);
}

static ssize_t fsv_machine_numa_node_store(struct config_item *item,
					   const char *page, size_t count)
{
	struct fsv_machine *machine = to_machine(item);
	int ret = 0;
	int value;

	if (kstrtoint(page, 0, &value) || value < NUMA_NO_NODE ||
	    value >= MAX_NUMNODES)
		return -EINVAL;
	if (value != NUMA_NO_NODE && !node_online(value))
		return -ENODEV;
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (machine->live)
		ret = -EBUSY;
	else
		machine->node = value;
	mutex_unlock(&fsv_lock);
	return ret ? ret : count;
}
CONFIGFS_ATTR(fsv_machine_, numa_node);

static struct configfs_attribute *fsv_machine_attrs[] = {
	&fsv_machine_attr_domain,
	&fsv_machine_attr_numa_node,
	&fsv_machine_attr_live,
	NULL,
};

static void fsv_machine_release(struct config_item *item)
{
	kfree(to_machine(item));
}

static struct configfs_item_operations fsv_machine_ops = {
	.release = fsv_machine_release,
};

static struct configfs_group_operations fsv_machine_group_ops = {
	.make_group = fsv_part_make,
	.drop_item = fsv_part_drop,
};

static const struct config_item_type fsv_machine_type = {
	.ct_item_ops = &fsv_machine_ops,
	.ct_group_ops = &fsv_machine_group_ops,
	.ct_attrs = fsv_machine_attrs,
	.ct_owner = THIS_MODULE,
};

static struct config_group *fsv_machine_make(struct config_group *group,
					     const char *name)
{
	struct fsv_machine *machine = kzalloc(sizeof(*machine), GFP_KERNEL);

	if (!machine)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&machine->parts);
	machine->domain = FSV_DEFAULT_DOMAIN;
	machine->node = NUMA_NO_NODE;
	config_group_init_type_name(&machine->group, name, &fsv_machine_type);
	return &machine->group;
}

static void fsv_machine_drop(struct config_group *group,
			     struct config_item *item)
{
	struct fsv_machine *machine = to_machine(item);
	unsigned long left = FSV_LEAVE_TIMEOUT;
	struct fsv_leave *leave;

	mutex_lock(&fsv_lock);
	leave = fsv_machine_stop(machine);
	/* From now on the bus is nobody's, and rmdir cannot fail. */
	if (leave)
		machine->live->owner = NULL;
	machine->live = NULL;
	mutex_unlock(&fsv_lock);
	if (leave && fsv_leave_wait(leave, &left))
		fsv_complain("%s: its bus is in use, and goes later",
			     config_item_name(item));
	config_item_put(item);
}

static struct configfs_group_operations fsv_subsystem_group_ops = {
	.make_group = fsv_machine_make,
	.drop_item = fsv_machine_drop,
};

static const struct config_item_type fsv_subsystem_type = {
	.ct_group_ops = &fsv_subsystem_group_ops,
	.ct_owner = THIS_MODULE,
};

static struct configfs_subsystem fsv_subsystem = {
	.su_group.cg_item = {
		.ci_namebuf = FSV_NAME,
		.ci_type = &fsv_subsystem_type,
	},
};

/**
 * fsv_configfs_init() - make /sys/kernel/config/fake-sriov-vgpu
 *
 * Return: 0 or a negative errno.
 */
int fsv_configfs_init(void)
{
	config_group_init(&fsv_subsystem.su_group);
	mutex_init(&fsv_subsystem.su_mutex);
	return configfs_register_subsystem(&fsv_subsystem);
}

/** fsv_configfs_exit() - undo fsv_configfs_init(); no folder is left then */
void fsv_configfs_exit(void)
{
	configfs_unregister_subsystem(&fsv_subsystem);
}
