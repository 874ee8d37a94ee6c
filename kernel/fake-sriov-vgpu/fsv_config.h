/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The config space of one function: a model without locks, allocations or
 * kernel interfaces, so that a user-space program can test the same file.
 *
 * "PCIe" below is the PCI Express Base Specification 5.0, "PCI" the PCI Local
 * Bus Specification 3.0.
 */
#ifndef FSV_CONFIG_H
#define FSV_CONFIG_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "fsv_user.h"
#endif

#define FSV_NVIDIA 0x10de /* Vendor ID */
#define FSV_CONFIG_BYTES 4096
/* BARs are 64 bits wide and therefore have the numbers 0, 2 and 4. */
#define FSV_BARS 3
#define FSV_MSIX_BAR 2 /* index of the BAR with the MSI-X table: BAR4 */
#define FSV_MSIX_BAR_BYTES 8192
#define FSV_MSIX_PBA_OFFSET 4096
#define FSV_MAX_MSIX 64
#define FSV_MAX_VFS 64
#define FSV_MAX_LINK_SPEED 6

/* What a write did, besides storing bits; fsv_config_write() returns it. */
#define FSV_EVENT_VFS 0x1   /* VF Enable was set or cleared */
#define FSV_EVENT_RESET 0x2 /* a function level reset was done */

/**
 * struct fsv_bar - a memory BAR
 * @address: where it decodes at first; a multiple of @size
 * @size: bytes, a power of two; 0: there is no such BAR
 */
struct fsv_bar {
	u64 address;
	u64 size;
};

/**
 * struct fsv_layout - what a function looks like after a reset
 * @vendor: Vendor ID
 * @device: Device ID
 * @subsystem_vendor: Subsystem Vendor ID
 * @subsystem_device: Subsystem ID
 * @class_code: class code, 24 bits
 * @revision: Revision ID
 * @devfn: device and function number
 * @link_speed: 1 (2.5 GT/s) to 6 (64 GT/s), as in the Link registers
 * @link_width: lanes
 * @msix_vectors: 0 for no MSI-X capability
 * @bars: BAR0, BAR2 (prefetchable) and BAR4
 * @is_vf: IDs read as all ones and BARs as zero (PCIe 9.3.4.1)
 * @total_vfs: 0 for no SR-IOV capability
 * @vf_offset: First VF Offset
 * @vf_device: VF Device ID
 * @page_sizes: Supported Page Sizes
 * @vf_bars: as @bars: address of VF 0, size of one VF
 */
struct fsv_layout {
	u16 vendor;
	u16 device;
	u16 subsystem_vendor;
	u16 subsystem_device;
	u32 class_code;
	u8 revision;
	u8 devfn;
	u8 link_speed;
	u8 link_width;
	u8 msix_vectors;
	struct fsv_bar bars[FSV_BARS];
	u8 is_vf;
	u16 total_vfs;
	u16 vf_offset;
	u16 vf_device;
	u32 page_sizes;
	struct fsv_bar vf_bars[FSV_BARS];
};

/**
 * struct fsv_config - config space of one function
 * @layout: what a reset restores
 * @value: the registers, little endian
 * @writable: bits that a write stores
 * @clearable: bits that a write of one clears
 */
struct fsv_config {
	struct fsv_layout layout;
	u8 value[FSV_CONFIG_BYTES];
	u8 writable[FSV_CONFIG_BYTES];
	u8 clearable[FSV_CONFIG_BYTES];
};

void fsv_config_reset(struct fsv_config *config);
u32 fsv_config_read(const struct fsv_config *config, unsigned int offset,
		    unsigned int size);
unsigned int fsv_config_write(struct fsv_config *config, unsigned int offset,
			      unsigned int size, u32 value);
unsigned int fsv_config_num_vfs(const struct fsv_config *config);

#endif /* FSV_CONFIG_H */
