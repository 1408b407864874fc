/*
 * What this process may use of its host: cores and memory, with affinity and cgroup limits (versions 1 and 2) counted.
 */
#ifndef MODPROP_SERVER_HOST_H
#define MODPROP_SERVER_HOST_H

#include <stdint.h>

/* Cores, at least 1: the least of the affinity mask and the cgroup's quota, the latter rounded up. */
int host_cores(void);

/* Bytes: the least of physical memory and the cgroup's limit. */
int64_t host_memory(void);

/* Bytes of this process that are resident now, and file descriptors that it has open; 0 where /proc is not there. */
int64_t host_resident_bytes(void);
int64_t host_open_descriptors(void);

/*
 * Bytes that this process has allocated and not freed: what grows where something leaks, whatever the allocator keeps
 * for later.
 */
int64_t host_heap_bytes(void);

#endif
