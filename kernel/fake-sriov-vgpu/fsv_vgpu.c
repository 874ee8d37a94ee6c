// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: vGPUs on functions, and their attributes in sysfs
 */

/**
 * DOC: vGPUs
 *
 * A function that can have a vGPU has a folder nvidia/ while our driver is
 * bound to it. Writing the number of a type to current_vgpu_type makes a vGPU,
 * 0 removes it. The memory of the type is taken from the pool that the VFs of a
 * PF share; a type that does not fit any more is not creatable. The vGPU
 * belongs to the function, not to the binding: it survives unbind and bind, and
 * ends with VF Enable.
 *
 * All of it is guarded by the lock of the pool. A change is announced by a
 * "change" uevent of the PCI function, with VGPU_TYPE set.
 */

#include <linux/ctype.h>
#include <linux/kobject.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "fsv.h"

/* A vGPU type: its number, what it is called, how much memory it takes. */
struct fsv_vgpu_type {
	u32 id;
	const char *name;
	u32 mib;
};

/*
 * Types of a Tesla T4. The last two numbers are what users of the older module
 * write; they are smallest here, so that 32 of the first fit into one GPU.
 */
static const struct fsv_vgpu_type fsv_vgpu_types[] = {
	{ 222, "GRID T4-1B", 1024 },   { 223, "GRID T4-2B", 2048 },
	{ 230, "GRID T4-1Q", 1024 },   { 231, "GRID T4-2Q", 2048 },
	{ 232, "GRID T4-4Q", 4096 },   { 233, "GRID T4-8Q", 8192 },
	{ 234, "GRID T4-16Q", 16384 }, { 256, "FAKE-512M", 512 },
	{ 512, "FAKE-1G", 1024 },
};

static const struct fsv_vgpu_type *fsv_vgpu_find(u32 id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fsv_vgpu_types); i++)
		if (fsv_vgpu_types[i].id == id)
			return &fsv_vgpu_types[i];
	return NULL;
}

static u32 fsv_vgpu_used(const struct fsv_function *function)
{
	const struct fsv_vgpu_type *type = fsv_vgpu_find(function->vgpu_type);

	return type ? type->mib : 0;
}

/* What is free if this function gives back what it has. */
static u32 fsv_vgpu_free(const struct fsv_function *function)
{
	lockdep_assert_held(&function->pool->lock);
	return function->pool->total_mib - function->pool->used_mib +
	       fsv_vgpu_used(function);
}

static int fsv_vgpu_set_locked(struct fsv_function *function, u32 id)
{
	const struct fsv_vgpu_type *type = fsv_vgpu_find(id);
	const u32 mib = type ? type->mib : 0;

	lockdep_assert_held(&function->pool->lock);
	if (id && !type)
		return -EINVAL;
	if (mib > fsv_vgpu_free(function))
		return -ENOSPC;
	function->pool->used_mib += mib - fsv_vgpu_used(function);
	function->vgpu_type = id;
	if (!id) {
		function->vgpu_placement = 0;
		function->vgpu_params[0] = '\0';
	}
	return 0;
}

/**
 * fsv_vgpu_set() - make or remove the vGPU of a function
 * @function: a VF or a flat function
 * @type: number of the type; 0: none
 *
 * Context: may sleep; takes the lock of the pool.
 * Return: 0; -EINVAL if there is no such type, -ENOSPC if it does not fit.
 */
int fsv_vgpu_set(struct fsv_function *function, u32 type)
{
	int ret;

	mutex_lock(&function->pool->lock);
	ret = fsv_vgpu_set_locked(function, type);
	mutex_unlock(&function->pool->lock);
	return ret;
}

/**
 * fsv_vgpu_reset() - a function goes away: so does its vGPU
 * @function: a VF or a flat function
 *
 * Context: may sleep; takes the lock of the pool.
 */
void fsv_vgpu_reset(struct fsv_function *function)
{
	mutex_lock(&function->pool->lock);
	fsv_vgpu_set_locked(function, 0);
	function->vgpu_warm_update = false;
	mutex_unlock(&function->pool->lock);
}

static struct fsv_function *fsv_vgpu_function(struct device *dev)
{
	return dev_get_drvdata(dev);
}

static void fsv_vgpu_announce(struct device *dev, u32 type)
{
	char text[32];
	char *environment[] = { text, NULL };

	snprintf(text, sizeof(text), "VGPU_TYPE=%u", type);
	kobject_uevent_env(&dev->kobj, KOBJ_CHANGE, environment);
}

static ssize_t creatable_vgpu_types_show(struct device *dev,
					 struct device_attribute *attr,
					 char *buf)
{
	struct fsv_function *function = fsv_vgpu_function(dev);
	ssize_t length;
	unsigned int i;
	u32 free_mib;

	length = sysfs_emit(buf, "ID    : vGPU Name\n");
	mutex_lock(&function->pool->lock);
	free_mib = fsv_vgpu_free(function);
	for (i = 0; i < ARRAY_SIZE(fsv_vgpu_types); i++)
		if (fsv_vgpu_types[i].mib <= free_mib)
			length += sysfs_emit_at(buf, length, "%-6u: %s\n",
						fsv_vgpu_types[i].id,
						fsv_vgpu_types[i].name);
	mutex_unlock(&function->pool->lock);
	return length;
}
static DEVICE_ATTR_RO(creatable_vgpu_types);

static ssize_t current_vgpu_type_show(struct device *dev,
				      struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(fsv_vgpu_function(dev)->vgpu_type));
}

static ssize_t current_vgpu_type_store(struct device *dev,
				       struct device_attribute *attr,
				       const char *buf, size_t count)
{
	struct fsv_function *function = fsv_vgpu_function(dev);
	u32 type;

	if (kstrtou32(buf, 0, &type)) {
		fsv_complain("%s: current_vgpu_type wants a number",
			     dev_name(dev));
		return -EINVAL;
	}
	if (fsv_vgpu_set(function, type)) {
		fsv_complain("%s: vGPU type %u is not creatable", dev_name(dev),
			     type);
		return -EINVAL;
	}
	fsv_vgpu_announce(dev, type);
	return count;
}
static DEVICE_ATTR_RW(current_vgpu_type);

/* No MIG here: a vGPU is on the whole GPU, which is instance 0. */
static ssize_t gpu_instance_id_show(struct device *dev,
				    struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", 0);
}
static DEVICE_ATTR_RO(gpu_instance_id);

static ssize_t placement_id_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(fsv_vgpu_function(dev)->vgpu_placement));
}

static ssize_t placement_id_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct fsv_function *function = fsv_vgpu_function(dev);
	int ret = 0;
	u32 value;

	if (kstrtou32(buf, 0, &value) ||
	    value >= function->pool->total_mib / 1024)
		return -EINVAL;
	mutex_lock(&function->pool->lock);
	if (function->vgpu_type)
		ret = -EBUSY;
	else
		WRITE_ONCE(function->vgpu_placement, value);
	mutex_unlock(&function->pool->lock);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(placement_id);

static ssize_t vgpu_params_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	struct fsv_function *function = fsv_vgpu_function(dev);
	ssize_t length;

	mutex_lock(&function->pool->lock);
	length = sysfs_emit(buf, "%s\n", function->vgpu_params);
	mutex_unlock(&function->pool->lock);
	return length;
}

static ssize_t vgpu_params_store(struct device *dev,
				 struct device_attribute *attr, const char *buf,
				 size_t count)
{
	struct fsv_function *function = fsv_vgpu_function(dev);
	size_t length = count, i;
	int ret = 0;

	if (length && buf[length - 1] == '\n')
		length--;
	if (length >= sizeof(function->vgpu_params))
		return -EINVAL;
	for (i = 0; i < length; i++)
		if (!isascii(buf[i]) || !isprint(buf[i]))
			return -EINVAL;
	mutex_lock(&function->pool->lock);
	if (!function->vgpu_type) {
		ret = -EPERM;
	} else {
		memcpy(function->vgpu_params, buf, length);
		function->vgpu_params[length] = '\0';
	}
	mutex_unlock(&function->pool->lock);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(vgpu_params);

static ssize_t warm_update_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(fsv_vgpu_function(dev)->vgpu_warm_update));
}

static ssize_t warm_update_store(struct device *dev,
				 struct device_attribute *attr, const char *buf,
				 size_t count)
{
	bool value;

	if (kstrtobool(buf, &value))
		return -EINVAL;
	WRITE_ONCE(fsv_vgpu_function(dev)->vgpu_warm_update, value);
	return count;
}
static DEVICE_ATTR_RW(warm_update);

static struct attribute *fsv_vgpu_attributes[] = {
	&dev_attr_creatable_vgpu_types.attr,
	&dev_attr_current_vgpu_type.attr,
	&dev_attr_gpu_instance_id.attr,
	&dev_attr_placement_id.attr,
	&dev_attr_vgpu_params.attr,
	&dev_attr_warm_update.attr,
	NULL,
};

/* Added to a PCI function whose driver data is a struct fsv_function. */
const struct attribute_group fsv_vgpu_group = {
	.name = "nvidia",
	.attrs = fsv_vgpu_attributes,
};
