// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: folders of functions in configfs
 */

/**
 * DOC: descriptions
 *
 * A folder of a function holds a description, which its attributes show and
 * change while the bus is not live. Descriptions are guarded by fsv_lock.
 */

#include <linux/module.h>
#include <linux/slab.h>

#include "fsv_configfs.h"

/* The description may be written; on success fsv_lock is held. */
static int fsv_part_lock(const struct fsv_part *part)
{
	if (mutex_lock_interruptible(&fsv_lock))
		return -EINTR;
	if (part->machine && !part->machine->live)
		return 0;
	mutex_unlock(&fsv_lock);
	return -EBUSY;
}

static int fsv_part_parse(struct config_item *item, const char *page, u64 min,
			  u64 max, u64 *value)
{
	if (!kstrtou64(page, 0, value) && *value >= min && *value <= max)
		return 0;
	fsv_complain("%s: out of range", config_item_name(item));
	return -EINVAL;
}

/* Attributes that are a number within limits, which fit their field. */
#define FSV_NUMBER(_name, _field, _min, _max, _format)                         \
	static ssize_t fsv_part_##_name##_show(struct config_item *item,       \
					       char *page)                     \
	{                                                                      \
		return sysfs_emit(page, _format "\n",                          \
				  to_part(item)->wanted._field);               \
	}                                                                      \
	static ssize_t fsv_part_##_name##_store(struct config_item *item,      \
						const char *page,              \
						size_t count)                  \
	{                                                                      \
		struct fsv_part *part = to_part(item);                         \
		u64 value;                                                     \
		int ret;                                                       \
									       \
		ret = fsv_part_parse(item, page, _min, _max, &value);          \
		if (!ret)                                                      \
			ret = fsv_part_lock(part);                             \
		if (ret)                                                       \
			return ret;                                            \
		BUILD_BUG_ON((typeof(part->wanted._field))(_max) != (_max));   \
		part->wanted._field = value;                                   \
		mutex_unlock(&fsv_lock);                                       \
		return count;                                                  \
	}                                                                      \
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
	int ret;

	if (!managed && !sysfs_streq(page, "none"))
		return -EINVAL;
	ret = fsv_part_lock(part);
	if (ret)
		return ret;
	part->wanted.managed = managed;
	mutex_unlock(&fsv_lock);
	return count;
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
		fsv_complain("an image was written to a bus that is live, and ignored");
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

/* Of a folder of a function. */
const struct config_item_type fsv_part_type = {
	.ct_item_ops = &fsv_part_ops,
	.ct_attrs = fsv_part_attrs,
	.ct_bin_attrs = fsv_part_bin_attrs,
	.ct_owner = THIS_MODULE,
};
