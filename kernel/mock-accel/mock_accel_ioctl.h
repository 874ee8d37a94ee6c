/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User space interface of /dev/mock-accelN and /dev/mock-accelN_vfM.
 *
 * Rules that hold for every structure here:
 *  - @size is set by the caller to sizeof() of the structure it was compiled
 *    with. A larger structure than the kernel knows is accepted; a smaller
 *    one than version 1 of the structure is refused with EINVAL.
 *  - Fields called "reserved" must be zero on the way in, else EINVAL.
 *  - Nothing is written back when the ioctl fails.
 *  - The layout is the same for 32- and 64-bit callers.
 */
#ifndef MOCK_ACCEL_IOCTL_H
#define MOCK_ACCEL_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* An arbitrary letter that the kernel's ioctl-number list does not assign. */
#define MOCK_ACCEL_IOC_MAGIC 0xEA

/* The function is a virtual one. */
#define MOCK_ACCEL_INFO_VF 0x00000001u
/* The identifier is no RFC 4122 UUID: show @label, not @uuid. */
#define MOCK_ACCEL_INFO_HAS_LABEL 0x00000002u
/* There is an interrupt: WAIT_STATUS and poll() work. */
#define MOCK_ACCEL_INFO_HAS_IRQ 0x00000004u

/* @total_vfs is 0 and @vf_index is valid for a VF only; a PF has this value. */
#define MOCK_ACCEL_NO_VF_INDEX 0xffffffffu

#define MOCK_ACCEL_UUID_BYTES 16
#define MOCK_ACCEL_LABEL_BYTES 64

/**
 * struct mock_accel_info - what MOCK_ACCEL_IOC_GET_INFO returns
 * @size: in: sizeof(struct mock_accel_info); out: bytes that were written
 * @flags: out: MOCK_ACCEL_INFO_*
 * @device_id: out: register DEVICE_ID, 0x4D4F434B
 * @revision: out: register REVISION
 * @uuid: out: register UUID, in the order of the printed form
 * @label: out: register LABEL, printable ASCII, always NUL-terminated
 * @memory_size: out: bytes of device memory
 * @capabilities: out: register CAPABILITIES
 * @status: out: register STATUS, read after @status_seq
 * @numa_node: out: NUMA node of the PCI function, -1 if it has none
 * @total_vfs: out: VFs that the PF can enable, 0 for a VF
 * @vf_index: out: the M of mockN_vfM, MOCK_ACCEL_NO_VF_INDEX for a PF
 * @status_seq: out: goes up by at least one for a change of STATUS; compare
 *	for equality only, it wraps
 * @fw_version: out: register FW_VERSION
 * @reserved: in: 0; out: 0
 */
struct mock_accel_info {
	__u32 size;
	__u32 flags;
	__u32 device_id;
	__u32 revision;
	__u8 uuid[MOCK_ACCEL_UUID_BYTES];
	__u8 label[MOCK_ACCEL_LABEL_BYTES];
	__u64 memory_size;
	__u32 capabilities;
	__u32 status;
	__s32 numa_node;
	__u32 total_vfs;
	__u32 vf_index;
	__u32 status_seq;
	__u32 fw_version;
	__u32 reserved;
};

/**
 * struct mock_accel_wait - argument of MOCK_ACCEL_IOC_WAIT_STATUS
 * @size: in: sizeof(struct mock_accel_wait); out: bytes that were written
 * @reserved0: in: 0; out: 0
 * @status_seq: in: the last value that the caller has seen; out: the value now
 * @timeout_ms: in: 0 looks once, -1 waits for ever, less is EINVAL
 * @status: out: register STATUS, read after @status_seq
 * @reserved1: in: 0; out: 0
 */
struct mock_accel_wait {
	__u32 size;
	__u32 reserved0;
	__u32 status_seq;
	__s32 timeout_ms;
	__u32 status;
	__u32 reserved1;
};

/*
 * The numbers do not encode the structure's size, so that a structure can grow
 * (as in VFIO).
 */
#define MOCK_ACCEL_IOC_GET_INFO _IO(MOCK_ACCEL_IOC_MAGIC, 0)
#define MOCK_ACCEL_IOC_WAIT_STATUS _IO(MOCK_ACCEL_IOC_MAGIC, 1)

#endif /* MOCK_ACCEL_IOCTL_H */
