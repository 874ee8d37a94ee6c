/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Registers of mock-accel, BAR0, little endian. tools/regdump prints this file. */
#ifndef MOCK_ACCEL_REGS_H
#define MOCK_ACCEL_REGS_H

/* DEVICE_ID: RO, 32 bits, always 0x4D4F434B ("MOCK"). */
#define MOCK_ACCEL_DEVICE_ID 0x000
#define MOCK_ACCEL_DEVICE_ID_VALUE GENMASK(31, 0)

/* REVISION: RO, 32 bits, hardware revision, 0x00010000 is 1.0. */
#define MOCK_ACCEL_REVISION 0x004
#define MOCK_ACCEL_REVISION_VALUE GENMASK(31, 0)

/* UUID: RO, 4 x 32 bits, 16 bytes in memory order. */
#define MOCK_ACCEL_UUID 0x008
#define MOCK_ACCEL_UUID_COUNT 4
#define MOCK_ACCEL_UUID_STRIDE 0x4
#define MOCK_ACCEL_UUID_VALUE GENMASK(31, 0)

/* MEMORY_SIZE: RO, 64 bits, bytes. */
#define MOCK_ACCEL_MEMORY_SIZE 0x020
#define MOCK_ACCEL_MEMORY_SIZE_VALUE GENMASK_ULL(63, 0)

/* CAPABILITIES: RO, 32 bits, feature flags. */
#define MOCK_ACCEL_CAPABILITIES 0x028
#define MOCK_ACCEL_CAPABILITIES_VALUE GENMASK(31, 0)

/* STATUS: RW, 32 bits; MSI-X vector 0 is raised when it changes. */
#define MOCK_ACCEL_STATUS 0x02c
#define MOCK_ACCEL_STATUS_VALUE GENMASK(31, 0)

/* FW_VERSION: RO, 32 bits. */
#define MOCK_ACCEL_FW_VERSION 0x030
#define MOCK_ACCEL_FW_VERSION_VALUE GENMASK(31, 0)

/* TOTAL_VFS: RO, 32 bits; PF: static VFs in this slot, VF: 0. */
#define MOCK_ACCEL_TOTAL_VFS 0x034
#define MOCK_ACCEL_TOTAL_VFS_VALUE GENMASK(31, 0)

/* VF_INDEX: RO, 32 bits; VF: zero-based index, PF: all ones. */
#define MOCK_ACCEL_VF_INDEX 0x038
#define MOCK_ACCEL_VF_INDEX_VALUE GENMASK(31, 0)

/* NUM_VFS: RW, 32 bits; PF: VFs that the driver enabled, VF: 0. */
#define MOCK_ACCEL_NUM_VFS 0x03c
#define MOCK_ACCEL_NUM_VFS_VALUE GENMASK(31, 0)

/* LABEL: RO, 16 x 32 bits, 64 bytes of NUL-padded ASCII. */
#define MOCK_ACCEL_LABEL 0x040
#define MOCK_ACCEL_LABEL_COUNT 16
#define MOCK_ACCEL_LABEL_STRIDE 0x4
#define MOCK_ACCEL_LABEL_VALUE GENMASK(31, 0)

#endif /* MOCK_ACCEL_REGS_H */
