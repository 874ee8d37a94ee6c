/* SPDX-License-Identifier: Apache-2.0 */
/* sst-test: commands of io_uring, with its system calls alone. */

#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test.h"

/* Commands in flight. */
#define ENTRIES 32

/* A ring, and what is mapped of it. */
struct ring {
	int fd;
	struct io_uring_params params;
	struct io_uring_sqe *sqes;
	char *sq;
	char *cq;
	size_t sqes_bytes, sq_bytes, cq_bytes;
};

static void *map(int fd, size_t bytes, off_t offset)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, offset);
}

/* 0 or a negative errno. */
static int ring_open(struct ring *ring)
{
	struct io_uring_params *params = &ring->params;

	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, params);
	if (ring->fd < 0)
		return -errno;
	ring->sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
	ring->sq_bytes = params->sq_off.array + params->sq_entries * 4;
	ring->cq_bytes = params->cq_off.cqes +
			 params->cq_entries * sizeof(struct io_uring_cqe);
	ring->sqes = map(ring->fd, ring->sqes_bytes, IORING_OFF_SQES);
	ring->sq = map(ring->fd, ring->sq_bytes, IORING_OFF_SQ_RING);
	ring->cq = map(ring->fd, ring->cq_bytes, IORING_OFF_CQ_RING);
	if (ring->sqes == MAP_FAILED || ring->sq == MAP_FAILED ||
	    ring->cq == MAP_FAILED)
		return -ENOMEM;
	return 0;
}

static void ring_close(struct ring *ring)
{
	close(ring->fd);
	munmap(ring->sqes, ring->sqes_bytes);
	munmap(ring->sq, ring->sq_bytes);
	munmap(ring->cq, ring->cq_bytes);
}

static uint32_t *sq_word(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->sq + offset);
}

/* Puts a command into the submission queue. */
static void ring_add(struct ring *ring, int fd, uint32_t op,
		     const struct SSTRequest *request,
		     struct SSTResponse *response, uint64_t user_data)
{
	const struct io_sqring_offsets *offsets = &ring->params.sq_off;
	uint32_t *tail = sq_word(ring, offsets->tail);
	const uint32_t place = *tail & *sq_word(ring, offsets->ring_mask);
	const struct sst_uring_request argument = {
		.request = (uintptr_t)request,
		.response = (uintptr_t)response,
	};
	struct io_uring_sqe *sqe = &ring->sqes[place];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = op;
	sqe->user_data = user_data;
	memcpy(sqe->cmd, &argument, sizeof(argument));
	sq_word(ring, offsets->array)[place] = place;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

static int ring_enter(const struct ring *ring, unsigned int submit,
		      unsigned int wait)
{
	int ret;

	do {
		ret = (int)syscall(SYS_io_uring_enter, ring->fd, submit, wait,
				   wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

/* Takes the next completion; false if there is none. */
static bool ring_take(struct ring *ring, struct io_uring_cqe *cqe)
{
	const struct io_cqring_offsets *offsets = &ring->params.cq_off;
	uint32_t *head = (void *)(ring->cq + offsets->head);
	uint32_t *tail = (void *)(ring->cq + offsets->tail);
	uint32_t *mask = (void *)(ring->cq + offsets->ring_mask);
	struct io_uring_cqe *cqes = (void *)(ring->cq + offsets->cqes);

	if (*head == __atomic_load_n(tail, __ATOMIC_ACQUIRE))
		return false;
	memcpy(cqe, &cqes[*head & *mask], sizeof(*cqe));
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

/* Waits for one completion; its result, or a negative errno. */
static int ring_one(struct ring *ring)
{
	struct io_uring_cqe cqe;
	int ret = ring_enter(ring, 1, 1);

	if (ret < 0)
		return ret;
	return ring_take(ring, &cqe) ? cqe.res : -EIO;
}

static void test_many(struct ring *ring, int fd, struct SSTRequest *requests,
		      struct SSTResponse *responses)
{
	unsigned int i, good = 0, got = 0;
	struct io_uring_cqe cqe;
	int ret;

	for (i = 0; i < ENTRIES; i++) {
		requests[i].type = SST_REQ_ECHO;
		requests[i].user_data = i + 1000;
		memset(requests[i].payload.data, (int)i + 1, SST_MAX_DATA_SIZE);
		ring_add(ring, fd, SST_URING_REQUEST, &requests[i],
			 &responses[i], i);
	}
	ret = ring_enter(ring, ENTRIES, ENTRIES);
	while (ret >= 0 && got < ENTRIES && ring_take(ring, &cqe)) {
		const struct SSTResponse *response;

		got++;
		if (cqe.user_data >= ENTRIES ||
		    cqe.res != (int)sizeof(*response))
			continue;
		response = &responses[cqe.user_data];
		good += response->user_data == cqe.user_data + 1000 &&
			response->payload.data[0] == cqe.user_data + 1 &&
			response->payload.data[SST_MAX_DATA_SIZE - 1] ==
				cqe.user_data + 1;
	}
	report("uring_many", good == ENTRIES, "%u of %u, enter said %d", good,
	       got, ret);
}

void test_uring(const struct options *options)
{
	struct SSTRequest *requests = calloc(ENTRIES, sizeof(*requests));
	struct SSTResponse *responses = calloc(ENTRIES, sizeof(*responses));
	struct sst *sst = NULL;
	struct ring ring;
	int ret = ring_open(&ring);

	if (ret == -ENOSYS || ret == -EPERM) {
		report_skip("uring", "this kernel does not allow io_uring");
		goto out;
	}
	if (!ret)
		ret = sst_open(options->device, 0, &sst);
	if (ret || !requests || !responses) {
		report("uring", false, "%s", strerror(-ret));
		goto out;
	}
	ring_add(&ring, sst_fd(sst), SST_URING_REQUEST, requests, responses, 0);
	ret = ring_one(&ring);
	if (ret == -EOPNOTSUPP || ret == -EINVAL) {
		report_skip("uring", "this kernel has no commands of io_uring");
		goto close;
	}
	report("uring_noop", ret == (int)sizeof(*responses) &&
				     !responses->status, "%d", ret);
	ring_add(&ring, sst_fd(sst), SST_URING_REQUEST + 1, requests, responses,
		 0);
	ret = ring_one(&ring);
	report("uring_unknown", ret == -ENOTTY, "%d", ret);
	ring_add(&ring, sst_fd(sst), SST_URING_REQUEST, NULL, responses, 0);
	ret = ring_one(&ring);
	report("uring_no_request", ret == -EFAULT, "%d", ret);
	ring_add(&ring, sst_fd(sst), SST_URING_REQUEST, requests, NULL, 0);
	ret = ring_one(&ring);
	report("uring_no_response", ret == -EFAULT, "%d", ret);
	test_many(&ring, sst_fd(sst), requests, responses);
close:
	ring_close(&ring);
out:
	sst_close(sst);
	free(requests);
	free(responses);
}
