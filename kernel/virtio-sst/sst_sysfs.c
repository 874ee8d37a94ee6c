// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: /sys/class/sst/sstN
 */

#include <linux/slab.h>
#include <linux/sysfs.h>

#include "sst_queue.h"
#include "sst_sysfs.h"

/* Counters of a queue that are files, by their place in the structure. */
#define SST_SYSFS_COUNTERS (sizeof(struct sst_queue_counters) / sizeof(u64))

static const char *const sst_sysfs_names[] = {
	"requests", "answers",	 "failed", "timeouts",	 "late",
	"bad",	    "cancelled", "kicks",  "interrupts", "full",
};
static_assert(ARRAY_SIZE(sst_sysfs_names) == SST_SYSFS_COUNTERS);

/**
 * struct sst_queue_file - one counter of one queue
 * @attr: the file
 * @counter: what it shows
 */
struct sst_queue_file {
	struct device_attribute attr;
	const u64 *counter;
};

/**
 * struct sst_queue_folder - folder queueN of a device; part of an array
 * @name: of the folder
 * @group: of its files
 * @files: one for each counter
 * @attrs: the same, for @group
 */
struct sst_queue_folder {
	char name[12];
	struct attribute_group group;
	struct sst_queue_file files[SST_SYSFS_COUNTERS];
	struct attribute *attrs[SST_SYSFS_COUNTERS + 1];
};

static ssize_t sst_sysfs_show_counter(struct device *d,
				      struct device_attribute *attr, char *buf)
{
	const struct sst_queue_file *file =
		container_of(attr, struct sst_queue_file, attr);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(*file->counter));
}

static void sst_sysfs_fill(struct sst_queue_folder *folder,
			   const struct sst_queue *queue)
{
	const u64 *counters = (const u64 *)&queue->counters;
	u32 i;

	snprintf(folder->name, sizeof(folder->name), "queue%u", queue->index);
	for (i = 0; i < SST_SYSFS_COUNTERS; i++) {
		struct sst_queue_file *file = &folder->files[i];

		sysfs_attr_init(&file->attr.attr);
		file->attr.attr.name = sst_sysfs_names[i];
		file->attr.attr.mode = 0444;
		file->attr.show = sst_sysfs_show_counter;
		file->counter = &counters[i];
		folder->attrs[i] = &file->attr.attr;
	}
	folder->group.name = folder->name;
	folder->group.attrs = folder->attrs;
}

/**
 * sst_sysfs_add_queues() - show the counters of each queue
 * @dev: its node was added; the folders vanish with it
 *
 * Return: 0, -ENOMEM or what sysfs says.
 */
int sst_sysfs_add_queues(struct sst_device *dev)
{
	u32 i;
	int ret = 0;

	dev->folders = kcalloc(dev->queue_count, sizeof(*dev->folders),
			       GFP_KERNEL);
	if (!dev->folders)
		return -ENOMEM;
	for (i = 0; i < dev->queue_count && !ret; i++) {
		sst_sysfs_fill(&dev->folders[i], &dev->queues[i]);
		ret = sysfs_create_group(&dev->base.dev.kobj,
					 &dev->folders[i].group);
	}
	return ret;
}

/**
 * sst_sysfs_free() - give the memory of the folders back
 * @dev: its node is gone
 */
void sst_sysfs_free(struct sst_device *dev)
{
	kfree(dev->folders);
}

/* The sum of one counter of all queues, by its place. */
static u64 sst_sysfs_sum(const struct sst_device *dev, size_t place)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < dev->queue_count; i++)
		sum += READ_ONCE(
			((const u64 *)&dev->queues[i].counters)[place]);
	return sum;
}

#define SST_SYSFS_SUM(_name)                                              \
	static ssize_t _name##_show(struct device *d,                     \
				    struct device_attribute *attr,        \
				    char *buf)                            \
	{                                                                 \
		const size_t place =                                      \
			offsetof(struct sst_queue_counters, _name) /      \
			sizeof(u64);                                      \
									  \
		return sysfs_emit(buf, "%llu\n",                          \
				  sst_sysfs_sum(to_sst_device(d), place)); \
	}                                                                 \
	static DEVICE_ATTR_RO(_name)

SST_SYSFS_SUM(requests);
SST_SYSFS_SUM(answers);
SST_SYSFS_SUM(failed);
SST_SYSFS_SUM(timeouts);
SST_SYSFS_SUM(late);
SST_SYSFS_SUM(bad);
SST_SYSFS_SUM(cancelled);
SST_SYSFS_SUM(kicks);
SST_SYSFS_SUM(interrupts);

#define SST_SYSFS_VALUE(_name, _format, _value)                           \
	static ssize_t _name##_show(struct device *d,                     \
				    struct device_attribute *attr,        \
				    char *buf)                            \
	{                                                                 \
		struct sst_device *dev = to_sst_device(d);                \
									  \
		return sysfs_emit(buf, _format "\n", _value);             \
	}                                                                 \
	static DEVICE_ATTR_RO(_name)

SST_SYSFS_VALUE(version, "0x%08x", dev->config.version);
SST_SYSFS_VALUE(device_id, "%u", dev->config.device_id);
SST_SYSFS_VALUE(features, "0x%llx", dev->features);
SST_SYSFS_VALUE(queue_pairs, "%u", dev->queue_count);
SST_SYSFS_VALUE(lock_step, "%d", dev->lock_step);
SST_SYSFS_VALUE(events, "%llu", READ_ONCE(dev->events.events));
SST_SYSFS_VALUE(open_files, "%u", READ_ONCE(dev->base.open_count));

static ssize_t in_flight_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	struct sst_device *dev = to_sst_device(d);
	u32 count = 0, i;

	for (i = 0; i < dev->queue_count; i++)
		count += sst_queue_outstanding(&dev->queues[i]);
	return sysfs_emit(buf, "%u\n", count);
}
static DEVICE_ATTR_RO(in_flight);

static struct attribute *sst_sysfs_attrs[] = {
	&dev_attr_requests.attr,    &dev_attr_answers.attr,
	&dev_attr_failed.attr,	    &dev_attr_timeouts.attr,
	&dev_attr_late.attr,	    &dev_attr_bad.attr,
	&dev_attr_cancelled.attr,   &dev_attr_kicks.attr,
	&dev_attr_interrupts.attr,  &dev_attr_version.attr,
	&dev_attr_device_id.attr,   &dev_attr_features.attr,
	&dev_attr_queue_pairs.attr, &dev_attr_lock_step.attr,
	&dev_attr_events.attr,	    &dev_attr_open_files.attr,
	&dev_attr_in_flight.attr,   NULL,
};

static const struct attribute_group sst_sysfs_group = {
	.attrs = sst_sysfs_attrs,
};

const struct attribute_group *sst_sysfs_groups[] = { &sst_sysfs_group, NULL };
