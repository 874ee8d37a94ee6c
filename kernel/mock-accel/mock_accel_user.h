/* SPDX-License-Identifier: GPL-2.0 */
/* What mock_accel_progress.c needs of the kernel, for its user-space test. */
#ifndef MOCK_ACCEL_USER_H
#define MOCK_ACCEL_USER_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define dma_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define cpu_to_le16(x) htole16(x)
#define cpu_to_le64(x) htole64(x)
#define le16_to_cpu(x) le16toh(x)

#endif /* MOCK_ACCEL_USER_H */
