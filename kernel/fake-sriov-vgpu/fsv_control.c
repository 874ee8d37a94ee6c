// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: /sys/class/fake-sriov-vgpu/control, and the bus it works on
 */

/**
 * DOC: control device
 *
 * The interface of the older module of this name: single functions, each of
 * which looks like a VF with a vGPU, made and removed by a line of text. They
 * share the bus of the module parameters "domain" and "pfs" with PFs that are
 * there from the start, in the last slots. All is done under fsv_lock.
 */

#include <linux/device.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "fsv.h"

#define FSV_DEFAULT_TYPE 256
#define FSV_MAX_DOMAIN 0xffff
#define FSV_MAX_PFS 8

static int domain = 1;
module_param(domain, int, 0444);
MODULE_PARM_DESC(domain, "PCI domain of the control device's bus (default 1)");

static uint pfs = 1;
module_param(pfs, uint, 0444);
MODULE_PARM_DESC(pfs,
		 "PFs on that bus, from slot 31 down (default 1, at most 8)");

static uint total_vfs = 16;
module_param(total_vfs, uint, 0444);
MODULE_PARM_DESC(total_vfs, "VFs that such a PF can have (default 16)");

static int fsv_node = NUMA_NO_NODE;
module_param_named(numa_node, fsv_node, int, 0444);
MODULE_PARM_DESC(numa_node, "NUMA node of that bus (default -1: none)");

static char *gpu = "T4";
module_param(gpu, charp, 0444);
MODULE_PARM_DESC(gpu,
		 "T4, A10, A40, A100, L4, L40S, H100 or VENDOR:DEVICE in hex");

/* IDs as in the public pci.ids, all with NVIDIA's vendor ID. */
static const struct fsv_gpu {
	const char *name;
	u16 device;
	u16 subsystem_device;
	u32 memory_mib;
} fsv_gpus[] = {
	{ "T4", 0x1eb8, 0x12a2, 16384 },   { "A10", 0x2236, 0x1482, 24576 },
	{ "A40", 0x2235, 0x145a, 49152 },  { "A100", 0x20b5, 0x1533, 81920 },
	{ "L4", 0x27b8, 0x16ee, 24576 },   { "L40S", 0x26b9, 0x1851, 49152 },
	{ "H100", 0x2331, 0x1626, 81920 },
};

static struct fsv_bus *fsv_bus; /* constant while the class exists */
static struct device *fsv_device;

/* Exactly @min to @max numbers, and nothing else. Returns how many, or 0. */
static unsigned int fsv_parse(const char *buf, u32 *numbers, unsigned int min,
			      unsigned int max)
{
	char text[64], *rest = text, *word;
	unsigned int count = 0;

	if (strscpy(text, buf, sizeof(text)) < 0)
		return 0;
	while ((word = strsep(&rest, " \t\n"))) {
		if (!*word)
			continue;
		if (count == max || kstrtou32(word, 0, &numbers[count]))
			return 0;
		count++;
	}
	return count < min ? 0 : count;
}

static struct fsv_function *fsv_flat_at(unsigned int devfn)
{
	struct fsv_function *function = fsv_bus->functions[devfn];

	lockdep_assert_held(&fsv_lock);
	return function && function->is_flat ? function : NULL;
}

static int fsv_create(unsigned int devfn, u32 type)
{
	struct fsv_function *function;
	int ret;

	if (fsv_bus->functions[devfn])
		return -EEXIST;
	function = fsv_function_create_flat(fsv_bus, devfn);
	if (IS_ERR(function))
		return PTR_ERR(function);
	ret = fsv_vgpu_set(function, type);
	if (!ret)
		ret = fsv_bus_add(fsv_bus, function);
	if (ret)
		fsv_function_free(function);
	return ret;
}

static ssize_t create_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	u32 numbers[3] = { 0, 0, FSV_DEFAULT_TYPE };
	int ret;

	if (!fsv_parse(buf, numbers, 2, 3) || numbers[0] >= FSV_SLOTS ||
	    numbers[1] >= FSV_FUNCTIONS_PER_SLOT) {
		fsv_complain("create wants SLOT FUNCTION [TYPE]");
		return -EINVAL;
	}
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	ret = fsv_create(PCI_DEVFN(numbers[0], numbers[1]), numbers[2]);
	mutex_unlock(&fsv_lock);
	if (ret)
		fsv_complain("create %u %u %u: error %d", numbers[0],
			     numbers[1], numbers[2], ret);
	return ret ? ret : count;
}
static DEVICE_ATTR_WO(create);

static ssize_t remove_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	unsigned long left = FSV_LEAVE_TIMEOUT;
	struct fsv_leave *leave = NULL;
	struct fsv_function *function;
	u32 numbers[2];
	int ret;

	if (!fsv_parse(buf, numbers, 2, 2) || numbers[0] >= FSV_SLOTS ||
	    numbers[1] >= FSV_FUNCTIONS_PER_SLOT) {
		fsv_complain("remove wants SLOT FUNCTION");
		return -EINVAL;
	}
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	function = fsv_flat_at(PCI_DEVFN(numbers[0], numbers[1]));
	if (function)
		leave = fsv_leave_start(function->leave);
	mutex_unlock(&fsv_lock);
	ret = leave ? fsv_leave_wait(leave, &left) : -ENOENT;
	if (ret)
		fsv_complain("remove %u %u: %s", numbers[0], numbers[1],
			     leave ? "it is in use" : "there is none");
	return ret ? ret : count;
}
static DEVICE_ATTR_WO(remove);

static ssize_t clear_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	struct fsv_leave *leaves[FSV_MAX_FUNCTIONS];
	unsigned long left = FSV_LEAVE_TIMEOUT;
	unsigned int devfn, number = 0, i;
	struct fsv_function *function;
	int ret = 0, one;

	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	for (devfn = 0; devfn < ARRAY_SIZE(fsv_bus->functions); devfn++) {
		function = fsv_flat_at(devfn);
		if (function && number < ARRAY_SIZE(leaves))
			leaves[number++] = fsv_leave_start(function->leave);
	}
	mutex_unlock(&fsv_lock);
	for (i = 0; i < number; i++) {
		one = fsv_leave_wait(leaves[i], &left);
		ret = ret ? ret : one;
	}
	return ret ? ret : count;
}
static DEVICE_ATTR_WO(clear);

static ssize_t list_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	const struct fsv_function *function;
	unsigned int devfn;
	ssize_t length = 0;

	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	for (devfn = 0; devfn < ARRAY_SIZE(fsv_bus->functions); devfn++) {
		function = fsv_flat_at(devfn);
		if (function)
			length += sysfs_emit_at(buf, length,
						"%04x:00:%02x.%u vgpu_type=%u\n",
						fsv_bus->domain,
						PCI_SLOT(devfn), PCI_FUNC(devfn),
						READ_ONCE(function->vgpu_type));
	}
	mutex_unlock(&fsv_lock);
	return length ? length : sysfs_emit(buf, "(no VFs created)\n");
}
static DEVICE_ATTR_RO(list);

static struct attribute *fsv_control_attrs[] = {
	&dev_attr_create.attr,
	&dev_attr_remove.attr,
	&dev_attr_clear.attr,
	&dev_attr_list.attr,
	NULL,
};
ATTRIBUTE_GROUPS(fsv_control);

static struct class fsv_class = {
	.name = FSV_NAME,
};

/* What the parameters ask for. */
static int fsv_describe_pf(struct fsv_description *wanted)
{
	struct fsv_layout *layout = &wanted->layout;
	unsigned int vendor, device, i;
	char end;

	fsv_describe(wanted);
	layout->total_vfs = total_vfs;
	for (i = 0; i < ARRAY_SIZE(fsv_gpus); i++) {
		if (strcasecmp(gpu, fsv_gpus[i].name))
			continue;
		layout->device = fsv_gpus[i].device;
		layout->vf_device = layout->device;
		layout->subsystem_device = fsv_gpus[i].subsystem_device;
		wanted->vgpu_memory_mib = fsv_gpus[i].memory_mib;
		return 0;
	}
	if (sscanf(gpu, "%4x:%4x%c", &vendor, &device, &end) != 2)
		return -EINVAL;
	layout->vendor = vendor;
	layout->subsystem_vendor = vendor;
	layout->device = device;
	layout->vf_device = device;
	layout->subsystem_device = device;
	return 0;
}

static struct fsv_bus *fsv_make_bus(void)
{
	struct fsv_description *wanted;
	struct fsv_bus *bus;
	unsigned int i;
	int ret = 0;

	if (domain < 0 || domain > FSV_MAX_DOMAIN || pfs > FSV_MAX_PFS ||
	    total_vfs > FSV_MAX_VFS ||
	    (fsv_node != NUMA_NO_NODE &&
	     (fsv_node < 0 || fsv_node >= MAX_NUMNODES ||
	      !node_online(fsv_node))))
		return ERR_PTR(-EINVAL);
	wanted = kcalloc(FSV_MAX_PFS, sizeof(*wanted), GFP_KERNEL);
	if (!wanted)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < pfs && !ret; i++) {
		ret = fsv_describe_pf(&wanted[i]);
		wanted[i].slot = FSV_SLOTS - 1 - i;
	}
	/* All PFs are alike. NVIDIA's the driver knows. */
	if (!ret && pfs && wanted->layout.vendor != FSV_NVIDIA)
		ret = fsv_driver_learn(wanted->layout.vendor,
				       wanted->layout.device);
	bus = ERR_PTR(ret);
	if (!ret) {
		mutex_lock(&fsv_lock);
		bus = fsv_bus_create(domain, fsv_node, wanted, pfs, true);
		mutex_unlock(&fsv_lock);
	}
	kfree(wanted);
	return bus;
}

/* Lets the bus go; fsv_bus_exit() waits for that. */
static void fsv_drop_bus(void)
{
	mutex_lock(&fsv_lock);
	fsv_leave_put(fsv_leave_start(fsv_bus->leave));
	mutex_unlock(&fsv_lock);
}

/**
 * fsv_control_init() - make the bus of the parameters and the control device
 *
 * Return: 0; -EINVAL if a parameter is out of range; -EBUSY if the domain is
 * in use; -ENOMEM.
 */
int fsv_control_init(void)
{
	int ret;

	fsv_bus = fsv_make_bus();
	if (IS_ERR(fsv_bus)) {
		ret = PTR_ERR(fsv_bus);
		if (ret == -EBUSY)
			pr_err(FSV_NAME
			       ": domain %04x is in use, load with domain=OTHER\n",
			       domain);
		return ret;
	}
	ret = class_register(&fsv_class);
	if (ret)
		goto err_bus;
	fsv_device = device_create_with_groups(&fsv_class, NULL, 0, NULL,
					       fsv_control_groups, "control");
	if (!IS_ERR(fsv_device))
		return 0;
	ret = PTR_ERR(fsv_device);
	class_unregister(&fsv_class);
err_bus:
	fsv_drop_bus();
	return ret;
}

/**
 * fsv_control_exit() - undo fsv_control_init()
 */
void fsv_control_exit(void)
{
	device_unregister(fsv_device);
	class_unregister(&fsv_class);
	fsv_drop_bus();
}
