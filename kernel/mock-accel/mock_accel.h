/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of the mock-accel driver: a function, and its node. Who does what
 * with them is in the headers of the .c files; lifetimes and locks are explained
 * in mock_accel_main.c.
 */
#ifndef MOCK_ACCEL_H
#define MOCK_ACCEL_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "mimic_node.h"
#include "mock_accel_ioctl.h"
#include "mock_accel_regs.h"

#define MOCK_ACCEL_BAR 0
#define MOCK_ACCEL_MEMORY_BAR 2

/* A slot has 8 functions; function 0 is the PF. */
#define MOCK_ACCEL_MAX_VFS 7

struct mock_accel_function;
struct mock_accel_node;
struct mock_accel_queue;

/**
 * enum mock_accel_blocked - why a function must not be used just now
 * @MOCK_ACCEL_BLOCKED_RESET: it is being reset
 * @MOCK_ACCEL_BLOCKED_ERROR: it is being recovered from a PCI error
 * @MOCK_ACCEL_BLOCKED_SUSPEND: the system sleeps
 * @MOCK_ACCEL_BLOCKED_PF: native VF: its PF is being reset or recovered
 * @MOCK_ACCEL_BLOCKED_DEAD: for good: until a reset succeeds or a new probe
 */
enum mock_accel_blocked {
	MOCK_ACCEL_BLOCKED_RESET,
	MOCK_ACCEL_BLOCKED_ERROR,
	MOCK_ACCEL_BLOCKED_SUSPEND,
	MOCK_ACCEL_BLOCKED_PF,
	MOCK_ACCEL_BLOCKED_DEAD,
};

/* How to stop rings: may the device be read, or only written? */
enum mock_accel_stop { MOCK_ACCEL_STOP_AND_READ, MOCK_ACCEL_STOP_BLIND };

/**
 * struct mock_accel_identity - what never changes while a function is bound
 * @device_id: register DEVICE_ID
 * @revision: register REVISION
 * @fw_version: register FW_VERSION
 * @capabilities: register CAPABILITIES
 * @memory_size: register MEMORY_SIZE
 * @total_vfs: PF: register TOTAL_VFS, at most MOCK_ACCEL_MAX_VFS, or what the
 *	SR-IOV capability says; VF: 0
 * @vf_index: VF: index within its PF; PF: MOCK_ACCEL_NO_VF_INDEX
 * @is_vf: true for a virtual function
 * @uuid: register UUID
 * @label: register LABEL made printable, NUL-terminated, empty if there is none
 *
 * Read and checked once, in probe: everything that comes from the device is
 * hostile until then.
 */
struct mock_accel_identity {
	u32 device_id;
	u32 revision;
	u32 fw_version;
	u32 capabilities;
	u64 memory_size;
	u32 total_vfs;
	u32 vf_index;
	bool is_vf;
	u8 uuid[MOCK_ACCEL_UUID_BYTES];
	char label[MOCK_ACCEL_LABEL_BYTES];
};

/**
 * struct mock_accel_ring - one hardware ring
 * @func: the function
 * @index: which of its rings
 * @has_irq: MSI-X vector 1 + @index is in use
 * @queue: who uses the ring, NULL if it is free; protected by @func->node_lock
 */
struct mock_accel_ring {
	struct mock_accel_function *func;
	u32 index;
	bool has_irq;
	struct mock_accel_queue *queue;
};

/**
 * struct mock_accel_function - one PCI function bound to this driver
 * @pdev: the PCI function
 * @regs: BAR0
 * @ident: constants of the function
 * @has_irq: MSI-X vector 0 is in use
 * @shared_vectors: other functions' interrupts also call our handlers
 * @last_status: STATUS as the interrupt handler saw it last; used by it only
 * @ring_count: hardware rings, 0 without an engine
 * @max_entries: of a ring
 * @rings: the hardware rings
 * @memory_bytes: device memory in BAR2, 0 if there is none
 * @blocked: bits numbered by enum mock_accel_blocked, set and cleared
 *	atomically; who sets one holds @node->access for writing, but for
 *	MOCK_ACCEL_BLOCKED_DEAD
 * @list: link in the list of functions; protected by mock_accel_lock
 * @published: PF: in the list and its class device is complete, so it can have
 *	VFs; protected by mock_accel_lock
 * @num_vfs: PF: static VFs enabled; written under mock_accel_lock
 * @index: PF: the N of mockN
 * @node_lock: protects @node and the rings' @queue against interrupt handlers
 * @node: the class device, NULL while there is none; a VF has none until its
 *	PF enables it. Written under @node_lock, and by one task only: a PF's
 *	by probe() and remove(), a VF's under mock_accel_lock.
 *
 * Lives, by devm, from probe() until remove() has returned.
 */
struct mock_accel_function {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct mock_accel_identity ident;
	bool has_irq;
	bool shared_vectors;
	u32 last_status;
	u32 ring_count;
	u32 max_entries;
	struct mock_accel_ring rings[MOCK_ACCEL_RING_CONTROL_COUNT];
	u64 memory_bytes;
	unsigned long blocked;
	struct list_head list;
	bool published;
	u32 num_vfs;
	int index;
	spinlock_t node_lock;
	struct mock_accel_node *node;
};

/**
 * struct mock_accel_node - one appearance in /sys/class/mock-accel and /dev
 * @base: what any node has; @base.access protects @func, @base.waitq is also
 *	woken when @status_seq moves
 * @ident: copy of the function's constants, usable after the function is gone
 * @has_irq: copy of the function's
 * @func: the function, NULL once the node was taken away; protected by
 *	@base.access
 * @status_seq: changes of STATUS seen so far
 * @pf_node: VF: class device of the PF, for the links; valid while the node
 *	is visible, because a PF takes its VFs' nodes away before its own
 */
struct mock_accel_node {
	struct mimic_node base;
	struct mock_accel_identity ident;
	bool has_irq;
	struct mock_accel_function *func;
	atomic_t status_seq;
	struct mock_accel_node *pf_node;
};

#define to_mock_accel_node(d) \
	container_of(to_mimic_node(d), struct mock_accel_node, base)

#endif /* MOCK_ACCEL_H */
