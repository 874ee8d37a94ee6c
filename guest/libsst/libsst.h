/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsst: programs ask an accelerator behind /dev/sstN, whose answers come from
 * a simulator.
 *
 *	struct sst *sst;
 *	struct SSTResponse response;
 *
 *	if (sst_open("sst0", 0, &sst))
 *		return 1;
 *	if (!sst_compute(sst, 1000, 0, &response))
 *		printf("%llu cycles\n", (unsigned long long)response.result);
 *	sst_close(sst);
 *
 * All functions return 0 or a count, or a negative errno: ETIMEDOUT, ENODEV (the
 * device is gone), ECANCELED (it was reset or suspended), EIO (it broke its
 * rules), EINTR, EAGAIN. The status of a response is the device's word and the
 * caller's to look at. A struct sst is for one thread at a time; processes and
 * threads open their own.
 */
#ifndef LIBSST_H
#define LIBSST_H

#include <stddef.h>
#include <stdint.h>

#include "sst_ioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sst;

/* Bits of sst_open()'s flags. */
#define SST_OPEN_NONBLOCK 1u /* never wait: EAGAIN */

/*
 * Opens a device: a path, a name ("sst0"), or a number ("0"). NULL: the first.
 * *sst is for sst_close().
 */
int sst_open(const char *name, unsigned int flags, struct sst **sst);
void sst_close(struct sst *sst);

/* For poll(): POLLIN: an answer or an event; POLLPRI: an event; POLLOUT. */
int sst_fd(const struct sst *sst);

/* What is constant about the device, and this file's settings. */
int sst_get_device_info(struct sst *sst, struct sst_info *info);

/* How long later requests may take; 0: any time. */
int sst_set_timeout(struct sst *sst, uint32_t timeout_ms);

/* --- One request at a time: the calls of Linux SST ------------------------- */

/* Asks, waits and gives the answer. */
int sst_ask(struct sst *sst, const struct SSTRequest *request,
	    struct SSTResponse *response);

int sst_noop(struct sst *sst, struct SSTResponse *response);
int sst_reset(struct sst *sst, struct SSTResponse *response);
int sst_get_info(struct sst *sst, struct SSTResponse *response);
int sst_compute(struct sst *sst, uint64_t units, uint32_t latency_model,
		struct SSTResponse *response);
int sst_configure(struct sst *sst, uint32_t param_id, uint64_t value,
		  struct SSTResponse *response);
/* Sends up to SST_MAX_DATA_SIZE bytes, which come back in the response. */
int sst_echo(struct sst *sst, const void *data, size_t bytes,
	     struct SSTResponse *response);

/*
 * Device memory, any size. 0: all was read or written; a positive number: the
 * enum sst_status of the first request that failed.
 */
int sst_read_memory(struct sst *sst, uint64_t address, void *data,
		    size_t bytes);
int sst_write_memory(struct sst *sst, uint64_t address, const void *data,
		     size_t bytes);

/* --- Many in flight -------------------------------------------------------- */

/*
 * Sends @count requests with one kick; @size bytes apart, so that they may be
 * parts of larger things. Returns how many were taken. Their user_data says
 * which answer is whose.
 */
int sst_send(struct sst *sst, const struct SSTRequest *requests, size_t size,
	     uint32_t count);

/* The same with entries: lengths, shared buffers, a queue pair. */
int sst_send_batch(struct sst *sst, struct sst_batch *batch);

/*
 * Takes up to @count answers and waits for @least of them, or one. Returns how
 * many. @responses: whole responses of the same places, or NULL.
 */
int sst_receive(struct sst *sst, struct sst_completion *completions,
		struct SSTResponse *responses, uint32_t count, uint32_t least);

/* --- Events ---------------------------------------------------------------- */

/* From now on this file hears of them. */
int sst_subscribe(struct sst *sst);
/* Waits for one, takes up to @count; returns how many. */
int sst_receive_events(struct sst *sst, struct SSTEvent *events,
		       uint32_t count);

/* --- Memory shared with the device ----------------------------------------- */

/* Members are read-only. */
struct sst_shared {
	void *data;
	size_t bytes;
	uint32_t handle; /* for struct sst_batch_entry */
};

int sst_share(struct sst *sst, size_t bytes, struct sst_shared *shared);
/* Requests in flight keep its pages until they are answered. */
void sst_unshare(struct sst *sst, struct sst_shared *shared);

/* "NOOP", "OK"; "?" if unknown. */
const char *sst_type_name(uint32_t type);
const char *sst_status_name(uint32_t status);

#ifdef __cplusplus
}
#endif

#endif /* LIBSST_H */
