/*
 * What this process may use of its host: cores and memory, with affinity and cgroup limits (versions 1 and 2) counted.
 */
#ifndef MODPROP_SERVER_HOST_H
#define MODPROP_SERVER_HOST_H

#include <stdint.h>

/* Cores, at least 1: the smaller of the affinity mask and the cgroup's quota, the latter rounded up. */
int host_cores(void);

/* Bytes: the smaller of physical memory and the cgroup's limit. */
int64_t host_memory(void);

/* Bytes of this process that are resident now, and file descriptors that it has open; 0 without /proc. */
int64_t host_resident_bytes(void);
int64_t host_open_descriptors(void);

/*
 * Bytes that this process has allocated and not freed, not counting what the allocator keeps for later: they grow if
 * something leaks.
 */
int64_t host_heap_bytes(void);

#endif
