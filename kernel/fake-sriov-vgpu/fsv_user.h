/* SPDX-License-Identifier: GPL-2.0 */
/* What fsv_config.c needs of the kernel, for the user-space test of it. */
#ifndef FSV_USER_H
#define FSV_USER_H

#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif /* FSV_USER_H */
