// SPDX-License-Identifier: GPL-2.0
/*
 * mimic: arguments of ioctls
 */

/**
 * DOC: structures that can grow
 *
 * Callers and modules of different age understand each other: fields are only
 * added at the end, and zero means what the older side does.
 *
 * - A caller that is older than the module passes a shorter structure. What it
 *   does not have is zero.
 * - A caller that is newer passes a longer one. If what the module does not
 *   know is zero, nothing is lost; else the call fails with -E2BIG, because
 *   ignoring it would do something that the caller did not ask for.
 *
 * An argument is copied in once and checked as copied.
 */

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mimic_uapi.h"

/**
 * mimic_ioctl_run() - look an ioctl up in a table and execute it
 * @table: by number
 * @count: elements of @table
 * @context: for the function that executes it
 * @cmd: from user space
 * @user: from user space, the structure
 *
 * Context: may sleep; no lock that mmap or page faults take is held.
 * Return: 0; -ENOTTY if there is no such ioctl; -EINVAL if the structure is
 * shorter than its first version; -E2BIG if it has something that is not known
 * here, or more than a page; -EFAULT; what the function returns.
 */
long mimic_ioctl_run(const struct mimic_ioctl *table, unsigned int count,
		     void *context, unsigned int cmd, void __user *user)
{
	u8 argument[MIMIC_IOCTL_MAX_BYTES] __aligned(8);
	const unsigned int number = _IOC_NR(cmd);
	const struct mimic_ioctl *op;
	u32 user_size, common;
	int ret;

	if (number >= count)
		return -ENOTTY;
	op = &table[array_index_nospec(number, count)];
	if (!op->cmd || op->cmd != cmd)
		return -ENOTTY;
	if (get_user(user_size, (const u32 __user *)user))
		return -EFAULT;
	if (user_size < op->min_size)
		return -EINVAL;
	/* So that nobody lets us look for a bit in gigabytes. */
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(argument, op->size, user, user_size);
	if (ret)
		return ret;
	ret = op->execute(context, argument);
	if (ret || !op->replies)
		return ret;
	common = min(user_size, op->size);
	/* The caller may have changed its own since. */
	memcpy(argument, &common, sizeof(common));
	return copy_to_user(user, argument, common) ? -EFAULT : 0;
}

/**
 * mimic_copy_array() - copy an array of structures that can grow
 * @user: from user space
 * @count: elements, not 0
 * @user_size: from user space: bytes of one element there
 * @size: bytes of one element here
 * @min_size: bytes of the first version of an element
 *
 * Context: as mimic_ioctl_run().
 * Return: the array, for kvfree(); ERR_PTR(-EINVAL) if elements are too short;
 * ERR_PTR(-E2BIG) as mimic_ioctl_run(), for an element; ERR_PTR(-EFAULT);
 * ERR_PTR(-ENOMEM).
 */
void *mimic_copy_array(const void __user *user, u32 count, u32 user_size,
		       u32 size, u32 min_size)
{
	void *copy;
	int ret;
	u32 i;

	if (user_size < min_size)
		return ERR_PTR(-EINVAL);
	if (user_size > MIMIC_IOCTL_MAX_BYTES)
		return ERR_PTR(-E2BIG);
	if (user_size == size)
		return vmemdup_user(user, (size_t)count * size);
	copy = kvcalloc(count, size, GFP_USER);
	if (!copy)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < count; i++) {
		ret = copy_struct_from_user(copy + (size_t)i * size, size,
					    user + (size_t)i * user_size,
					    user_size);
		if (ret) {
			kvfree(copy);
			return ERR_PTR(ret);
		}
	}
	return copy;
}
