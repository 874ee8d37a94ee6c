// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: access to a function and its registers
 */

/**
 * DOC: the guard of a function
 *
 * Whoever comes by a node gets the function from here and gives it back: while
 * it is held, it stays bound, and nobody has blocked it for a reset, an error
 * or a suspend. A register that reads all ones means that nobody answers.
 */

#include <linux/bitfield.h>
#include <linux/io.h>

#include "mock_accel_hw.h"

/**
 * mock_accel_is_present() - does the device answer?
 * @func: the function
 *
 * Context: any; reads a register.
 * Return: true if it does.
 */
bool mock_accel_is_present(const struct mock_accel_function *func)
{
	return readl(func->regs + MOCK_ACCEL_DEVICE_ID) ==
	       MOCK_ACCEL_DEVICE_ID_RESET;
}

/**
 * mock_accel_get_function() - begin to use the function of a node
 * @node: class device of the function
 *
 * Context: may sleep; on success @node->base.access is held for reading until
 * mock_accel_put_function().
 * Return: the function; ERR_PTR(-ENODEV) if it was unbound or is dead;
 * ERR_PTR(-EAGAIN) while it is being reset, recovered or suspended.
 */
struct mock_accel_function *
mock_accel_get_function(struct mock_accel_node *node)
{
	struct mock_accel_function *func;
	int ret;

	down_read(&node->base.access);
	func = node->func;
	if (func && !READ_ONCE(func->blocked))
		return func;
	ret = -ENODEV;
	if (func && !test_bit(MOCK_ACCEL_BLOCKED_DEAD, &func->blocked))
		ret = -EAGAIN;
	up_read(&node->base.access);
	return ERR_PTR(ret);
}

/**
 * mock_accel_put_function() - end what mock_accel_get_function() began
 * @node: class device of the function
 */
void mock_accel_put_function(struct mock_accel_node *node)
{
	up_read(&node->base.access);
}

/**
 * mock_accel_read_status() - read register STATUS, if the device is there
 * @node: class device of the function
 * @status: where to put the value; untouched on error
 *
 * Context: may sleep; takes @node->base.access for reading.
 * Return: 0; -ENODEV if the function was unbound or does not answer; -EAGAIN
 * as mock_accel_get_function().
 */
int mock_accel_read_status(struct mock_accel_node *node, u32 *status)
{
	struct mock_accel_function *func = mock_accel_get_function(node);
	int ret = -ENODEV;
	u32 value;

	if (IS_ERR(func))
		return PTR_ERR(func);
	value = readl(func->regs + MOCK_ACCEL_STATUS);
	/* All ones is a legal status: only then ask a second time. */
	if (value != U32_MAX || mock_accel_is_present(func)) {
		*status = FIELD_GET(MOCK_ACCEL_STATUS_VALUE, value);
		ret = 0;
	}
	mock_accel_put_function(node);
	return ret;
}

/**
 * mock_accel_write_status() - write register STATUS, if the device is there
 * @node: class device of the function
 * @status: new value
 *
 * Context: may sleep; takes @node->base.access for reading.
 * Return: 0; -ENODEV if the function was unbound or does not answer; -EAGAIN
 * as mock_accel_get_function().
 */
int mock_accel_write_status(struct mock_accel_node *node, u32 status)
{
	struct mock_accel_function *func = mock_accel_get_function(node);
	int ret = -ENODEV;

	if (IS_ERR(func))
		return PTR_ERR(func);
	/* A write to nobody is lost without a trace, so look first. */
	if (mock_accel_is_present(func)) {
		writel(FIELD_PREP(MOCK_ACCEL_STATUS_VALUE, status),
		       func->regs + MOCK_ACCEL_STATUS);
		ret = 0;
	}
	mock_accel_put_function(node);
	return ret;
}

/**
 * mock_accel_status_changed() - wake all who wait for a change of STATUS
 * @func: the function whose register changed
 *
 * Context: any, also hard interrupt; takes @func->node_lock.
 */
void mock_accel_status_changed(struct mock_accel_function *func)
{
	unsigned long flags;

	spin_lock_irqsave(&func->node_lock, flags);
	if (func->node) {
		atomic_inc(&func->node->status_seq);
		wake_up_all(&func->node->base.waitq);
	}
	spin_unlock_irqrestore(&func->node_lock, flags);
}
