/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arguments of ioctls that can grow: the design of iommufd.
 */
#ifndef MIMIC_UAPI_H
#define MIMIC_UAPI_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* The largest structure that an ioctl may take; it is on the stack. */
#define MIMIC_IOCTL_MAX_BYTES 256

/**
 * struct mimic_ioctl - one ioctl of a module
 * @cmd: its number; 0: there is none at this place of the table
 * @size: bytes of its structure as this module knows it
 * @min_size: bytes of the first version of the structure
 * @replies: the structure goes back to the caller when @execute returns 0
 * @execute: does it. @argument is a copy of the caller's structure, with zeros
 *	for what the caller does not have. Returns 0 or a negative errno.
 *
 * Each structure begins with a 32-bit @size, which the caller sets to what it
 * was compiled with.
 */
struct mimic_ioctl {
	unsigned int cmd;
	u32 size;
	u32 min_size;
	bool replies;
	int (*execute)(void *context, void *argument);
};

/*
 * An entry of a table: number, function, structure, the last field of the first
 * version of the structure, and whether the structure goes back.
 */
#define MIMIC_IOCTL(_cmd, _execute, _struct, _last, _replies)                \
	[_IOC_NR(_cmd)] = {                                                  \
		.cmd = (_cmd) + BUILD_BUG_ON_ZERO(offsetof(_struct, size)) + \
		       BUILD_BUG_ON_ZERO(sizeof(_struct) >                   \
					 MIMIC_IOCTL_MAX_BYTES),             \
		.size = sizeof(_struct),                                     \
		.min_size = offsetofend(_struct, _last),                     \
		.replies = (_replies),                                       \
		.execute = (_execute),                                       \
	}

long mimic_ioctl_run(const struct mimic_ioctl *table, unsigned int count,
		     void *context, unsigned int cmd, void __user *user);
void *mimic_copy_array(const void __user *user, u32 count, u32 user_size,
		       u32 size, u32 min_size);

#endif /* MIMIC_UAPI_H */
