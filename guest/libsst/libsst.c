/* SPDX-License-Identifier: Apache-2.0 */
/* libsst: devices, and one request at a time. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

static int system_open(const char *path, int flags)
{
	return open(path, flags);
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

static void *system_mmap(size_t size, int fd, off_t offset)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

static const struct sst_system real_system = {
	.open = system_open,
	.close = close,
	.read = read,
	.write = write,
	.ioctl = system_ioctl,
	.mmap = system_mmap,
	.munmap = munmap,
};

const struct sst_system *sst_system = &real_system;

static void device_path(const char *name, char *path, size_t size)
{
	if (!name)
		name = "sst0";
	if (strchr(name, '/'))
		snprintf(path, size, "%s", name);
	else if (*name >= '0' && *name <= '9')
		snprintf(path, size, "/dev/sst%s", name);
	else
		snprintf(path, size, "/dev/%s", name);
}

int sst_open(const char *name, unsigned int flags, struct sst **sst)
{
	char path[256];
	struct sst *made;

	if (flags & ~SST_OPEN_NONBLOCK)
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	device_path(name, path, sizeof(path));
	made->system = sst_system;
	made->fd = made->system->open(
		path, O_RDWR | O_CLOEXEC |
			      (flags & SST_OPEN_NONBLOCK ? O_NONBLOCK : 0));
	if (made->fd < 0) {
		const int error = errno;

		free(made);
		return -error;
	}
	*sst = made;
	return 0;
}

void sst_close(struct sst *sst)
{
	if (!sst)
		return;
	sst->system->close(sst->fd);
	free(sst);
}

int sst_fd(const struct sst *sst)
{
	return sst->fd;
}

int sst_ask(struct sst *sst, const struct SSTRequest *request,
	    struct SSTResponse *response)
{
	ssize_t done;

	done = sst->system->write(sst->fd, request, sizeof(*request));
	if (done < 0)
		return -errno;
	/* A signal ends the wait, not the request. */
	do {
		done = sst->system->read(sst->fd, response, sizeof(*response));
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	return done == (ssize_t)sizeof(*response) ? 0 : -EIO;
}

/* Makes a request of our own: all zeros but type and a number. */
static struct SSTRequest *make(struct sst *sst, uint32_t type)
{
	struct SSTRequest *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->type = type;
	request->user_data = ++sst->next_user_data;
	return request;
}

/* Asks and frees @request. */
static int ask_and_free(struct sst *sst, struct SSTRequest *request,
			struct SSTResponse *response)
{
	int ret;

	if (!request)
		return -ENOMEM;
	ret = sst_ask(sst, request, response);
	if (!ret && response->user_data != request->user_data)
		ret = -EIO;
	free(request);
	return ret;
}

int sst_noop(struct sst *sst, struct SSTResponse *response)
{
	return ask_and_free(sst, make(sst, SST_REQ_NOOP), response);
}

int sst_reset(struct sst *sst, struct SSTResponse *response)
{
	return ask_and_free(sst, make(sst, SST_REQ_RESET), response);
}

int sst_get_info(struct sst *sst, struct SSTResponse *response)
{
	return ask_and_free(sst, make(sst, SST_REQ_GET_INFO), response);
}

int sst_compute(struct sst *sst, uint64_t units, uint32_t latency_model,
		struct SSTResponse *response)
{
	struct SSTRequest *request = make(sst, SST_REQ_COMPUTE);

	if (request) {
		request->payload.compute.compute_units = units;
		request->payload.compute.latency_model = latency_model;
	}
	return ask_and_free(sst, request, response);
}

int sst_configure(struct sst *sst, uint32_t param_id, uint64_t value,
		  struct SSTResponse *response)
{
	struct SSTRequest *request = make(sst, SST_REQ_CONFIGURE);

	if (request) {
		request->payload.config.param_id = param_id;
		request->payload.config.value = value;
	}
	return ask_and_free(sst, request, response);
}

int sst_echo(struct sst *sst, const void *data, size_t bytes,
	     struct SSTResponse *response)
{
	struct SSTRequest *request;

	if (bytes > SST_MAX_DATA_SIZE)
		return -EINVAL;
	request = make(sst, SST_REQ_ECHO);
	if (request && bytes)
		memcpy(request->payload.data, data, bytes);
	return ask_and_free(sst, request, response);
}

/* One READ or WRITE of at most what a request holds. */
static int memory_part(struct sst *sst, uint32_t type, uint64_t address,
		       const void *data, size_t bytes,
		       struct SSTResponse *response)
{
	struct SSTRequest *request = make(sst, type);

	if (request) {
		request->payload.memory.addr = address;
		request->payload.memory.size = (uint32_t)bytes;
		if (data)
			memcpy(request->payload.data +
				       sizeof(request->payload.memory),
			       data, bytes);
	}
	return ask_and_free(sst, request, response);
}

/* Data of a WRITE follow its description. */
#define WRITE_BYTES \
	(SST_MAX_DATA_SIZE - sizeof(((struct SSTRequest *)0)->payload.memory))

static int memory(struct sst *sst, uint32_t type, uint64_t address, void *in,
		  const void *out, size_t bytes)
{
	const size_t most = in ? SST_MAX_DATA_SIZE : WRITE_BYTES;
	struct SSTResponse *response = malloc(sizeof(*response));
	size_t done = 0;
	int ret = response ? 0 : -ENOMEM;

	while (!ret && done < bytes) {
		const size_t part = bytes - done < most ? bytes - done : most;

		ret = memory_part(sst, type, address + done,
				  out ? (const char *)out + done : NULL, part,
				  response);
		if (!ret)
			ret = (int)response->status;
		if (!ret && in)
			memcpy((char *)in + done, response->payload.data, part);
		done += part;
	}
	free(response);
	return ret;
}

int sst_read_memory(struct sst *sst, uint64_t address, void *data, size_t bytes)
{
	return memory(sst, SST_REQ_READ, address, data, NULL, bytes);
}

int sst_write_memory(struct sst *sst, uint64_t address, const void *data,
		     size_t bytes)
{
	return memory(sst, SST_REQ_WRITE, address, NULL, data, bytes);
}

const char *sst_type_name(uint32_t type)
{
	static const char *const names[] = { "NOOP",  "ECHO",	  "COMPUTE",
					     "READ",  "WRITE",	  "RESET",
					     "GET_INFO", "CONFIGURE" };

	return type < sizeof(names) / sizeof(*names) ? names[type] : "?";
}

const char *sst_status_name(uint32_t status)
{
	static const char *const names[] = { "OK",	"ERROR",   "BUSY",
					     "INVALID", "TIMEOUT", "NO_DEVICE" };

	return status < sizeof(names) / sizeof(*names) ? names[status] : "?";
}
