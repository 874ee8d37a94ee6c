// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: whole machines through configfs
 */

/**
 * DOC: configfs
 *
 * A folder of a bus holds folders of functions; both only describe. Writing 1
 * to "live" makes a bus from the description, 0 destroys it. Descriptions and
 * @live are guarded by fsv_lock. A folder pins the module, so that it cannot be
 * unloaded under a description.
 */

#include <linux/configfs.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/slab.h>

#include "fsv.h"

#define FSV_DEFAULT_DOMAIN 3

/* A folder of a bus. */
struct fsv_machine {
	struct config_group group;
	struct list_head parts; /* its folders */
	unsigned int count;
	int domain;
	int node;
	struct fsv_bus *live;
};

/* A folder of a function. */
struct fsv_part {
	struct config_group group;
	struct list_head list;
	struct fsv_machine *machine; /* NULL after rmdir */
	struct fsv_description wanted;
	void *image;
	void *vf_image;
};

static struct fsv_machine *to_machine(struct config_item *item)
{
	return container_of(to_config_group(item), struct fsv_machine, group);
}

static struct fsv_part *to_part(struct config_item *item)
{
	return container_of(to_config_group(item), struct fsv_part, group);
}

/* Attributes of functions that are a number within limits. */
static int fsv_part_store(struct config_item *item, const char *page,
			  void *field, size_t size, u64 min, u64 max)
{
	struct fsv_part *part = to_part(item);
	u64 value;
	int ret = 0;

	if (kstrtou64(page, 0, &value) || value < min || value > max) {
		fsv_complain("%s: out of range", config_item_name(item));
		return -EINVAL;
	}
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (!part->machine || part->machine->live)
		ret = -EBUSY;
	else if (size == sizeof(u8))
		*(u8 *)field = value;
	else if (size == sizeof(u16))
		*(u16 *)field = value;
	else if (size == sizeof(u32))
		*(u32 *)field = value;
	else
		*(u64 *)field = value;
	mutex_unlock(&fsv_lock);
	return ret;
}

#define FSV_NUMBER(_name, _field, _min, _max, _format)                        \
	static ssize_t fsv_part_##_name##_show(struct config_item *item,      \
					       char *page)                    \
	{                                                                     \
		return sysfs_emit(page, _format "\n",                         \
				  to_part(item)->wanted._field);              \
	}                                                                     \
	static ssize_t fsv_part_##_name##_store(                              \
		struct config_item *item, const char *page, size_t count)     \
	{                                                                     \
		struct fsv_description *wanted = &to_part(item)->wanted;      \
		int ret = fsv_part_store(item, page, &wanted->_field,         \
					 sizeof(wanted->_field), _min, _max); \
                                                                              \
		return ret ? ret : count;                                     \
	}                                                                     \
	CONFIGFS_ATTR(fsv_part_, _name)

FSV_NUMBER(slot, slot, 0, FSV_SLOTS - 1, "%u");
FSV_NUMBER(function, function, 0, FSV_FUNCTIONS_PER_SLOT - 1, "%u");
FSV_NUMBER(vendor, layout.vendor, 1, 0xfffe, "0x%04x");
FSV_NUMBER(device, layout.device, 1, 0xfffe, "0x%04x");
FSV_NUMBER(subsystem_vendor, layout.subsystem_vendor, 0, 0xffff, "0x%04x");
FSV_NUMBER(subsystem_device, layout.subsystem_device, 0, 0xffff, "0x%04x");
FSV_NUMBER(class, layout.class_code, 0, 0xffffff, "0x%06x");
FSV_NUMBER(revision, layout.revision, 0, 0xff, "0x%02x");
FSV_NUMBER(link_speed, layout.link_speed, 1, FSV_MAX_LINK_SPEED, "%u");
FSV_NUMBER(link_width, layout.link_width, 1, 32, "%u");
FSV_NUMBER(msix_vectors, layout.msix_vectors, 0, FSV_MAX_MSIX, "%u");
FSV_NUMBER(bar0_size, layout.bars[0].size, 0, FSV_MAX_BAR_BYTES, "%llu");
FSV_NUMBER(bar2_size, layout.bars[1].size, 0, FSV_MAX_BAR_BYTES, "%llu");
FSV_NUMBER(total_vfs, layout.total_vfs, 0, FSV_MAX_VFS, "%u");
FSV_NUMBER(vf_device, layout.vf_device, 1, 0xfffe, "0x%04x");
FSV_NUMBER(vf_bar0_size, layout.vf_bars[0].size, 0, FSV_MAX_BAR_BYTES, "%llu");
FSV_NUMBER(vf_bar2_size, layout.vf_bars[1].size, 0, FSV_MAX_BAR_BYTES, "%llu");
FSV_NUMBER(vgpu_memory, vgpu_memory_mib, 0, 1u << 24, "%u");

static ssize_t fsv_part_address_show(struct config_item *item, char *page)
{
	const struct fsv_part *part = to_part(item);
	int domain = 0;

	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (part->machine)
		domain = part->machine->domain;
	mutex_unlock(&fsv_lock);
	return sysfs_emit(page, "%04x:00:%02x.%u\n", domain, part->wanted.slot,
			  part->wanted.function);
}
CONFIGFS_ATTR_RO(fsv_part_, address);

static ssize_t fsv_part_driver_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%s\n",
			  to_part(item)->wanted.managed ? "nvidia" : "none");
}

static ssize_t fsv_part_driver_store(struct config_item *item, const char *page,
				     size_t count)
{
	struct fsv_part *part = to_part(item);
	const bool managed = sysfs_streq(page, "nvidia");
	int ret = 0;

	if (!managed && !sysfs_streq(page, "none"))
		return -EINVAL;
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (!part->machine || part->machine->live)
		ret = -EBUSY;
	else
		part->wanted.managed = managed;
	mutex_unlock(&fsv_lock);
	return ret ? ret : count;
}
CONFIGFS_ATTR(fsv_part_, driver);

static struct configfs_attribute *fsv_part_attrs[] = {
	&fsv_part_attr_address,
	&fsv_part_attr_slot,
	&fsv_part_attr_function,
	&fsv_part_attr_vendor,
	&fsv_part_attr_device,
	&fsv_part_attr_subsystem_vendor,
	&fsv_part_attr_subsystem_device,
	&fsv_part_attr_class,
	&fsv_part_attr_revision,
	&fsv_part_attr_driver,
	&fsv_part_attr_link_speed,
	&fsv_part_attr_link_width,
	&fsv_part_attr_msix_vectors,
	&fsv_part_attr_bar0_size,
	&fsv_part_attr_bar2_size,
	&fsv_part_attr_total_vfs,
	&fsv_part_attr_vf_device,
	&fsv_part_attr_vf_bar0_size,
	&fsv_part_attr_vf_bar2_size,
	&fsv_part_attr_vgpu_memory,
	NULL,
};

/* An image: what configfs gathered between open and close. */
static ssize_t fsv_image_write(struct fsv_part *part, void **kept,
			       const void **image, size_t *bytes,
			       const void *data, size_t count)
{
	void *copy = kvmalloc(count, GFP_KERNEL);
	void *old = copy;
	ssize_t ret = -EBUSY;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, count);
	mutex_lock(&fsv_lock);
	if (part->machine && !part->machine->live) {
		old = *kept;
		*kept = copy;
		*image = copy;
		*bytes = count;
		ret = count;
	}
	mutex_unlock(&fsv_lock);
	kvfree(old);
	if (ret < 0)
		fsv_complain(
			"an image was written to a bus that is live, and ignored");
	return ret;
}

static ssize_t fsv_part_bar0_image_write(struct config_item *item,
					 const void *data, size_t count)
{
	struct fsv_part *part = to_part(item);

	return fsv_image_write(part, &part->image, &part->wanted.image,
			       &part->wanted.image_bytes, data, count);
}
CONFIGFS_BIN_ATTR_WO(fsv_part_, bar0_image, NULL, FSV_MAX_IMAGE_BYTES);

static ssize_t fsv_part_vf_bar0_image_write(struct config_item *item,
					    const void *data, size_t count)
{
	struct fsv_part *part = to_part(item);

	return fsv_image_write(part, &part->vf_image, &part->wanted.vf_image,
			       &part->wanted.vf_image_bytes, data, count);
}
CONFIGFS_BIN_ATTR_WO(fsv_part_, vf_bar0_image, NULL, FSV_MAX_BAR_BYTES);

static struct configfs_bin_attribute *fsv_part_bin_attrs[] = {
	&fsv_part_attr_bar0_image,
	&fsv_part_attr_vf_bar0_image,
	NULL,
};

static void fsv_part_release(struct config_item *item)
{
	struct fsv_part *part = to_part(item);

	kvfree(part->image);
	kvfree(part->vf_image);
	kfree(part);
}

static struct configfs_item_operations fsv_part_ops = {
	.release = fsv_part_release,
};

static const struct config_item_type fsv_part_type = {
	.ct_item_ops = &fsv_part_ops,
	.ct_attrs = fsv_part_attrs,
	.ct_bin_attrs = fsv_part_bin_attrs,
	.ct_owner = THIS_MODULE,
};

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
	int ret = 0;

	lockdep_assert_held(&fsv_lock);
	if (!machine->count)
		return -ENXIO;
	wanted = kcalloc(machine->count, sizeof(*wanted), GFP_KERNEL);
	if (!wanted)
		return -ENOMEM;
	list_for_each_entry(part, &machine->parts, list) {
		if (!ret && part->wanted.managed)
			ret = fsv_driver_learn(part->wanted.layout.vendor,
					       part->wanted.layout.device);
		wanted[count++] = part->wanted;
	}
	if (!ret) {
		bus = fsv_bus_create(machine->domain, machine->node, wanted,
				     count, false);
		if (IS_ERR(bus))
			ret = PTR_ERR(bus);
		else
			machine->live = bus;
	}
	kfree(wanted);
	return ret;
}

static void fsv_machine_stop(struct fsv_machine *machine)
{
	lockdep_assert_held(&fsv_lock);
	if (machine->live)
		fsv_bus_destroy(machine->live);
	machine->live = NULL;
}

static ssize_t fsv_machine_live_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%u\n", !!READ_ONCE(to_machine(item)->live));
}

static ssize_t fsv_machine_live_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct fsv_machine *machine = to_machine(item);
	int ret = 0;
	u8 value;

	if (kstrtou8(page, 0, &value) || value > 1)
		return -EINVAL;
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (!value)
		fsv_machine_stop(machine);
	else if (!machine->live)
		ret = fsv_machine_start(machine);
	mutex_unlock(&fsv_lock);
	if (ret)
		fsv_complain("%s: cannot go live, error %d",
			     config_item_name(item), ret);
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
	mutex_lock(&fsv_lock);
	fsv_machine_stop(to_machine(item));
	mutex_unlock(&fsv_lock);
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
