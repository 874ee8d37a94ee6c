/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fake-sriov-vgpu: folders in configfs
 */
#ifndef FSV_CONFIGFS_H
#define FSV_CONFIGFS_H

#include <linux/configfs.h>

#include "fsv.h"

/**
 * struct fsv_machine - a folder of a bus
 * @group: the folder
 * @parts: its folders
 * @count: of @parts
 * @domain: as described
 * @node: as described
 * @live: the bus, until it has gone; NULL: there is none
 *
 * All but @group is guarded by fsv_lock.
 */
struct fsv_machine {
	struct config_group group;
	struct list_head parts;
	unsigned int count;
	int domain;
	int node;
	struct fsv_bus *live;
};

/**
 * struct fsv_part - a folder of a function
 * @group: the folder
 * @list: in the parts of @machine
 * @machine: NULL after rmdir
 * @wanted: the description
 * @image: what @wanted.image points to
 * @vf_image: what @wanted.vf_image points to
 *
 * All but @group is guarded by fsv_lock.
 */
struct fsv_part {
	struct config_group group;
	struct list_head list;
	struct fsv_machine *machine;
	struct fsv_description wanted;
	void *image;
	void *vf_image;
};

static inline struct fsv_machine *to_machine(struct config_item *item)
{
	return container_of(to_config_group(item), struct fsv_machine, group);
}

static inline struct fsv_part *to_part(struct config_item *item)
{
	return container_of(to_config_group(item), struct fsv_part, group);
}

/* fsv_part.c */
extern const struct config_item_type fsv_part_type;

#endif /* FSV_CONFIGFS_H */
