// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: /sys/class/vgpu/vgpuN
 */

#include "vgpu_queue.h"
#include "vgpu_sysfs.h"

#define VGPU_SYSFS_VALUE(_name, _format, _value)                          \
	static ssize_t _name##_show(struct device *d,                     \
				    struct device_attribute *attr,        \
				    char *buf)                            \
	{                                                                 \
		struct vgpu_device *dev = to_vgpu_device(d);              \
									  \
		return sysfs_emit(buf, _format "\n", _value);             \
	}                                                                 \
	static DEVICE_ATTR_RO(_name)

/* The device says these: a word that there is, a letter that can be printed. */
static const char *vgpu_sysfs_priority(const struct vgpu_device *dev)
{
	static const char *const names[] = { "low", "medium", "high" };

	return dev->ident.priority < ARRAY_SIZE(names) ?
		       names[dev->ident.priority] :
		       "unknown";
}

static char vgpu_sysfs_pool(const struct vgpu_device *dev)
{
	const u32 pool = dev->ident.pool_id;

	return pool > ' ' && pool <= '~' ? (char)pool : '?';
}

static const char *vgpu_sysfs_mode(const struct vgpu_device *dev)
{
	static const char *const names[] = { "registers", "dma", "ring" };

	return names[dev->mode];
}

static const char *vgpu_sysfs_interrupts(const struct vgpu_device *dev)
{
	if (!READ_ONCE(dev->vectors))
		return "none";
	return dev->msix ? "msix" : "intx";
}

VGPU_SYSFS_VALUE(pool_id, "%c", vgpu_sysfs_pool(dev));
VGPU_SYSFS_VALUE(priority, "%s", vgpu_sysfs_priority(dev));
VGPU_SYSFS_VALUE(vm_id, "%u", dev->ident.vm_id);
VGPU_SYSFS_VALUE(protocol_version, "0x%08x", dev->ident.protocol_version);
VGPU_SYSFS_VALUE(capabilities, "0x%08x", dev->ident.capabilities);
VGPU_SYSFS_VALUE(mode, "%s", vgpu_sysfs_mode(dev));
VGPU_SYSFS_VALUE(interrupt_kind, "%s", vgpu_sysfs_interrupts(dev));
VGPU_SYSFS_VALUE(ring_entries, "%u", dev->ring_entries);
VGPU_SYSFS_VALUE(open_files, "%u", READ_ONCE(dev->base.open_count));

static struct attribute *vgpu_sysfs_attrs[] = {
	&dev_attr_pool_id.attr,
	&dev_attr_priority.attr,
	&dev_attr_vm_id.attr,
	&dev_attr_protocol_version.attr,
	&dev_attr_capabilities.attr,
	&dev_attr_mode.attr,
	&dev_attr_interrupt_kind.attr,
	&dev_attr_ring_entries.attr,
	&dev_attr_open_files.attr,
	NULL,
};

static const struct attribute_group vgpu_sysfs_group = {
	.attrs = vgpu_sysfs_attrs,
};

#define VGPU_SYSFS_COUNTER(_name) \
	VGPU_SYSFS_VALUE(_name, "%llu", READ_ONCE(dev->queue.counters._name))

VGPU_SYSFS_COUNTER(requests);
VGPU_SYSFS_COUNTER(answers);
VGPU_SYSFS_COUNTER(errors);
VGPU_SYSFS_COUNTER(timeouts);
VGPU_SYSFS_COUNTER(late);
VGPU_SYSFS_COUNTER(bad);
VGPU_SYSFS_COUNTER(cancelled);
VGPU_SYSFS_COUNTER(doorbells);
VGPU_SYSFS_COUNTER(interrupts);
VGPU_SYSFS_COUNTER(polls);
VGPU_SYSFS_COUNTER(full);
VGPU_SYSFS_COUNTER(restarts);
VGPU_SYSFS_VALUE(in_flight, "%u", vgpu_queue_outstanding(dev));

static struct attribute *vgpu_sysfs_statistics[] = {
	&dev_attr_requests.attr,   &dev_attr_answers.attr,
	&dev_attr_errors.attr,	   &dev_attr_timeouts.attr,
	&dev_attr_late.attr,	   &dev_attr_bad.attr,
	&dev_attr_cancelled.attr,  &dev_attr_doorbells.attr,
	&dev_attr_interrupts.attr, &dev_attr_polls.attr,
	&dev_attr_full.attr,	   &dev_attr_restarts.attr,
	&dev_attr_in_flight.attr,  NULL,
};

static const struct attribute_group vgpu_sysfs_statistics_group = {
	.name = "statistics",
	.attrs = vgpu_sysfs_statistics,
};

const struct attribute_group *vgpu_sysfs_groups[] = {
	&vgpu_sysfs_group,
	&vgpu_sysfs_statistics_group,
	NULL,
};
