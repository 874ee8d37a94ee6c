// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: attributes of the class device
 */

/**
 * DOC: attributes in /sys/class/mock-accel/mockN
 *
 * One value a file, in the formats that the first mock-accel driver had, so
 * that DRA drivers written for it work unchanged. Attributes of a function
 * come first, then those of a PF that can have VFs.
 *
 * While an attribute's callback runs, the node is visible: node->func is set
 * and stays, because removal of the class device waits for the callback.
 */

#include <linux/kernel.h>
#include <linux/sysfs.h>

#include "mock_accel_hw.h"
#include "mock_accel_native.h"
#include "mock_accel_sriov.h"
#include "mock_accel_sysfs.h"

static ssize_t uuid_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	const struct mock_accel_identity *ident =
		&to_mock_accel_node(dev)->ident;

	if (ident->label[0])
		return sysfs_emit(buf, "%s\n", ident->label);
	return sysfs_emit(buf, "%pUb\n", ident->uuid);
}
static DEVICE_ATTR_RO(uuid);

static ssize_t memory_size_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  to_mock_accel_node(dev)->ident.memory_size);
}
static DEVICE_ATTR_RO(memory_size);

static ssize_t numa_node_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%d\n", dev_to_node(dev->parent));
}
static DEVICE_ATTR_RO(numa_node);

static ssize_t capabilities_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "0x%08x\n",
			  to_mock_accel_node(dev)->ident.capabilities);
}
static DEVICE_ATTR_RO(capabilities);

static ssize_t fw_version_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "0x%08x\n",
			  to_mock_accel_node(dev)->ident.fw_version);
}
static DEVICE_ATTR_RO(fw_version);

static ssize_t status_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	u32 status;
	int ret;

	ret = mock_accel_read_status(to_mock_accel_node(dev), &status);
	if (ret)
		return ret;
	return sysfs_emit(buf, "0x%08x\n", status);
}

static ssize_t status_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	u32 status;
	int ret;

	ret = kstrtou32(buf, 0, &status);
	if (ret)
		return ret;
	ret = mock_accel_write_status(to_mock_accel_node(dev), status);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(status);

static struct attribute *mock_accel_attrs[] = {
	&dev_attr_uuid.attr,
	&dev_attr_memory_size.attr,
	&dev_attr_numa_node.attr,
	&dev_attr_capabilities.attr,
	&dev_attr_fw_version.attr,
	&dev_attr_status.attr,
	NULL,
};

static const struct attribute_group mock_accel_group = {
	.attrs = mock_accel_attrs,
};

static ssize_t sriov_totalvfs_show(struct device *dev,
				   struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  to_mock_accel_node(dev)->ident.total_vfs);
}
static DEVICE_ATTR_RO(sriov_totalvfs);

static ssize_t sriov_numvfs_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct mock_accel_function *pf = to_mock_accel_node(dev)->func;

	if (mock_accel_sriov_is_native(pf))
		return sysfs_emit(buf, "%d\n", pci_num_vf(pf->pdev));
	return sysfs_emit(buf, "%u\n", READ_ONCE(pf->num_vfs));
}

static ssize_t sriov_numvfs_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct mock_accel_function *pf = to_mock_accel_node(dev)->func;
	u32 num_vfs;
	int ret;

	/* A number too large for 32 bits is as invalid as one above the total. */
	if (kstrtou32(buf, 0, &num_vfs))
		return -EINVAL;
	if (mock_accel_sriov_is_native(pf))
		ret = mock_accel_native_set_num_vfs(pf, num_vfs);
	else
		ret = mock_accel_sriov_set_num_vfs(pf, num_vfs);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(sriov_numvfs);

static struct attribute *mock_accel_sriov_attrs[] = {
	&dev_attr_sriov_totalvfs.attr,
	&dev_attr_sriov_numvfs.attr,
	NULL,
};

static umode_t mock_accel_sriov_is_visible(struct kobject *kobj,
					   struct attribute *attr, int index)
{
	struct mock_accel_node *node = to_mock_accel_node(kobj_to_dev(kobj));

	if (mock_accel_sriov_is_static(node->func) ||
	    mock_accel_sriov_is_native(node->func))
		return attr->mode;
	return 0;
}

static const struct attribute_group mock_accel_sriov_group = {
	.attrs = mock_accel_sriov_attrs,
	.is_visible = mock_accel_sriov_is_visible,
};

/* For the class: every node gets them when it appears. */
const struct attribute_group *mock_accel_groups[] = {
	&mock_accel_group,
	&mock_accel_sriov_group,
	NULL,
};
