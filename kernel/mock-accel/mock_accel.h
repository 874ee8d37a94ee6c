/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internals of the mock-accel driver. See the DOC: paragraphs of the .c files
 * for who does what, and mock_accel_main.c for lifetimes and locks.
 */
#ifndef MOCK_ACCEL_H
#define MOCK_ACCEL_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "mock_accel_ioctl.h"
#include "mock_accel_regs.h"

/* A slot has 8 functions; function 0 is the PF. */
#define MOCK_ACCEL_MAX_VFS 7
/* Arbitrary; 512 PFs with all their VFs. */
#define MOCK_ACCEL_MAX_MINORS 4096

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
 * @dev: class device; its reference count is the node's
 * @cdev: character device; an open file holds it and through it @dev
 * @ident: copy of the function's constants, usable after the function is gone
 * @has_irq: copy of the function's
 * @access: held for reading while @func is used; for writing to clear it
 * @func: the function, NULL once the node was taken away; protected by @access
 * @gone: true once the node was taken away; lock-free, for wait conditions
 * @status_seq: changes of STATUS seen so far
 * @waitq: woken when @status_seq moves and when @gone is set
 * @open_count: open files; written under mock_accel_lock
 * @files_lock: protects @files among those who hold @access for reading; who
 *	holds it for writing needs no more
 * @files: open files
 * @pf_node: VF: class device of the PF, for the links; valid while the node
 *	is visible, because a PF takes its VFs' nodes away before its own
 */
struct mock_accel_node {
	struct device dev;
	struct cdev cdev;
	struct mock_accel_identity ident;
	bool has_irq;
	struct rw_semaphore access;
	struct mock_accel_function *func;
	bool gone;
	atomic_t status_seq;
	wait_queue_head_t waitq;
	unsigned int open_count;
	struct mutex files_lock;
	struct list_head files;
	struct mock_accel_node *pf_node;
};

#define to_mock_accel_node(d) container_of(d, struct mock_accel_node, dev)

/* mock_accel_main.c */
#define MOCK_ACCEL_BAR 0
#define MOCK_ACCEL_MEMORY_BAR 2

struct mock_accel_function *
mock_accel_get_function(struct mock_accel_node *node);
void mock_accel_put_function(struct mock_accel_node *node);
bool mock_accel_is_present(const struct mock_accel_function *func);
int mock_accel_read_status(struct mock_accel_node *node, u32 *status);
int mock_accel_write_status(struct mock_accel_node *node, u32 status);

/* mock_accel_irq.c */
int mock_accel_setup_irqs(struct mock_accel_function *func);

/* mock_accel_node.c */
int mock_accel_class_init(void);
void mock_accel_class_exit(void);
int mock_accel_node_add(struct mock_accel_function *func,
			struct mock_accel_node *pf_node);
void mock_accel_node_announce(struct mock_accel_node *node);
void mock_accel_node_remove(struct mock_accel_function *func);
void mock_accel_status_changed(struct mock_accel_function *func);

/* mock_accel_cdev.c */
extern const struct file_operations mock_accel_fops;

/* mock_accel_sysfs.c */
extern const struct attribute_group *mock_accel_groups[];

/* mock_accel_sriov.c */
extern struct mutex mock_accel_lock;

bool mock_accel_sriov_is_static(const struct mock_accel_function *pf);
bool mock_accel_sriov_is_native(const struct mock_accel_function *pf);
int mock_accel_sriov_attach(struct mock_accel_function *func);
void mock_accel_sriov_detach(struct mock_accel_function *func);
void mock_accel_sriov_reset_done(struct mock_accel_function *func);
int mock_accel_sriov_set_num_vfs(struct mock_accel_function *pf, u32 num_vfs);
void mock_accel_for_each_native_vf(struct mock_accel_function *pf,
				   void (*visit)(struct mock_accel_function *vf,
						 void *data),
				   void *data);

/* mock_accel_native.c */
int mock_accel_sriov_configure(struct pci_dev *pdev, int num_vfs);
int mock_accel_native_set_num_vfs(struct mock_accel_function *pf, u32 num_vfs);
int mock_accel_sriov_hide_closed_vfs(struct mock_accel_function *pf);

/* mock_accel_recovery.c */
extern const struct pci_error_handlers mock_accel_err_handler;
extern const struct dev_pm_ops mock_accel_pm_ops;

#endif /* MOCK_ACCEL_H */
