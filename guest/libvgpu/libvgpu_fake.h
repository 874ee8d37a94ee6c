/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device and a driver for tests of libvgpu, in memory. There is one of each.
 */
#ifndef LIBVGPU_FAKE_H
#define LIBVGPU_FAKE_H

#include <stdio.h>

#include "internal.h"

extern int failures; /* of CHECK() */

#define CHECK(condition)                                                  \
	do {                                                              \
		if (!(condition)) {                                       \
			printf("%s:%d: %s\n", __FILE__, __LINE__,         \
			       #condition);                               \
			failures++;                                       \
		}                                                         \
	} while (0)

struct fake {
	uint32_t status_reg;
	uint32_t error_code;
	uint32_t request_len;
	uint32_t response_len;
	uint32_t request_id;
	uint32_t scratch;
	uint8_t request_buffer[1024];
	uint8_t response_buffer[1024];
	/* Not the original's. */
	uint8_t bar[4096]; /* whose addresses are the registers */
	void (*mediator)(struct fake *fake); /* NULL: there is none */
	uint32_t version;
	int busy_reads; /* until a request that the mediator has is done */
	bool gone;
	uint64_t now_ns;
	int open_count;
	int constant_reads; /* of registers that say what is constant */
	/* The driver in front of it. */
	char node[64]; /* that there is; "": none */
	char opened[64]; /* that was asked for last */
	uint32_t max_bytes;
	int info_calls;
	struct vgpu_submit submit;
};

extern struct fake fake;
extern const struct vgpu_system fake_system;

/* What a guest reads of a register. */
uint32_t mmio_read(struct fake *s, uint32_t addr);

/* Mediators, for open_fake(). Knows sums, and memory with handle 5. */
void mediator(struct fake *s);
void rejects(struct fake *s);
/* A device that says that there is more than it has room for. */
void says_too_much(struct fake *s);
/* An error that would look like an errno of ours. */
void rejects_with_errno(struct fake *s);
void says_nonsense(struct fake *s);

/* The device by its registers, with @which as its mediator; NULL: with none. */
struct vgpu *open_fake(void (*which)(struct fake *));
/* Checks that nothing stays open. */
void close_fake(struct vgpu *vgpu);

#endif /* LIBVGPU_FAKE_H */
